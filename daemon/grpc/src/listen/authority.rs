//! `:authority` of clients of the Unix socket.
//!
//! gRPC's C core, and with it grpcio for Python and Ruby, sends the percent-encoded path of the socket as `:authority`
//! (`run%2Flandlord.sock`). A host has no percent signs, so the HTTP/2 library refuses such a request before any service
//! sees it. Nothing is routed by the authority here, so each of its percent signs is replaced by a dash as the bytes come
//! in. The length stays, so neither frames nor header compression notice. Everything else passes unchanged.

/// The HTTP/2 preface, before the first frame.
const PREFACE_BYTES: usize = 24;
/// Length (3), type (1), flags (1), stream (4).
const FRAME_HEADER_BYTES: usize = 9;
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
const NAME: &[u8] = b":authority";
/// Of `:authority` in the static table, RFC 7541 appendix A.
const NAME_INDEX: u64 = 1;
/// No header of a request is that long; a larger number is no HPACK that we can follow.
const NUMBER_MAX: u64 = 1 << 24;

/// What the next byte of a connection is.
#[derive(Debug)]
enum Frame {
    /// Bytes of the preface that are left.
    Preface(usize),
    /// A frame's header, and how much of it is there.
    Header([u8; FRAME_HEADER_BYTES], usize),
    /// Bytes of a payload that has no headers.
    Skip(usize),
    /// Pad length and priority, then headers, then padding.
    Headers { before: usize, padded: bool, block: usize, padding: usize },
    /// Not understood: everything passes as it is.
    Lost,
}

/// What the next byte of a header block is, RFC 7541 section 6.
#[derive(Debug, Clone, Copy)]
enum Field {
    /// The first byte of a field.
    Start,
    /// The rest of a number.
    Number { value: u64, shift: u32, then: Then },
    /// The first byte of a string.
    String { what: What },
    /// A string's bytes.
    Bytes { left: u64, plain: bool, what: What, matched: Option<usize> },
}

/// Which string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Name,
    /// And whether it is the authority's.
    Value(bool),
}

/// What a number was.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// An index, or a table size: the field ends.
    End,
    /// The index of a name; its value follows.
    Named,
    /// The length of a string.
    Length { plain: bool, what: What },
}

/// Follows the bytes of a connection.
#[derive(Debug)]
pub(super) struct Authority {
    frame: Frame,
    field: Field,
}

impl Authority {
    pub(super) fn new() -> Self {
        Self { frame: Frame::Preface(PREFACE_BYTES), field: Field::Start }
    }

    /// Rewrites what comes next on the connection.
    pub(super) fn rewrite(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let used = match &mut self.frame {
                Frame::Lost => return,
                Frame::Preface(left) | Frame::Skip(left) => {
                    let used = bytes.len().min(*left);
                    *left -= used;
                    if *left == 0 {
                        self.frame = Frame::Header([0; FRAME_HEADER_BYTES], 0);
                    }
                    used
                }
                Frame::Header(header, filled) => {
                    header[*filled] = bytes[0];
                    *filled += 1;
                    if *filled == FRAME_HEADER_BYTES {
                        let header = *header;
                        self.frame = self.after_header(header);
                    }
                    1
                }
                Frame::Headers { .. } => {
                    self.headers(&mut bytes[0]);
                    1
                }
            };
            bytes = &mut bytes[used..];
        }
    }

    fn after_header(&mut self, header: [u8; FRAME_HEADER_BYTES]) -> Frame {
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        let (kind, flags) = (header[3], header[4]);
        let padded = kind == HEADERS && flags & PADDED != 0;
        match (kind, length) {
            (_, 0) => Frame::Header([0; FRAME_HEADER_BYTES], 0),
            (HEADERS, _) => {
                self.field = Field::Start;
                let before = usize::from(padded) + if flags & PRIORITY == 0 { 0 } else { 5 };
                length.checked_sub(before).map_or(Frame::Lost, |block| Frame::Headers {
                    before,
                    padded,
                    block,
                    padding: 0,
                })
            }
            (CONTINUATION, _) => Frame::Headers { before: 0, padded: false, block: length, padding: 0 },
            _ => Frame::Skip(length),
        }
    }

    fn headers(&mut self, byte: &mut u8) {
        let Frame::Headers { before, padded, block, padding } = &mut self.frame else { return };
        let understood = if *before > 0 {
            *before -= 1;
            if std::mem::take(padded) {
                *padding = usize::from(*byte);
            }
            *padding <= *block
        } else {
            *block -= 1;
            let next = self.field.next(byte);
            self.field = next.unwrap_or(Field::Start);
            next.is_some()
        };
        match (understood, *before, block.saturating_sub(*padding)) {
            (false, ..) => self.frame = Frame::Lost,
            (true, 0, 0) if *padding == 0 => self.frame = Frame::Header([0; FRAME_HEADER_BYTES], 0),
            (true, 0, 0) => self.frame = Frame::Skip(*padding),
            (true, ..) => {}
        }
    }
}

impl Field {
    /// What follows this byte; `None`: it can't be followed. A percent sign of the authority is replaced.
    fn next(self, byte: &mut u8) -> Option<Self> {
        match self {
            Self::Start => Self::start(*byte),
            Self::String { what } => {
                let plain = *byte & 0x80 == 0;
                number(*byte, 7, Then::Length { plain, what })
            }
            Self::Number { value, shift, then } => {
                let value = value.checked_add(u64::from(*byte & 0x7f) << shift).filter(|value| *value < NUMBER_MAX)?;
                if *byte & 0x80 == 0 {
                    Some(then.after(value))
                } else {
                    (shift < 28).then_some(Self::Number { value, shift: shift + 7, then })
                }
            }
            Self::Bytes { left, plain, what, matched } => {
                if what == What::Value(true) && plain && *byte == b'%' {
                    *byte = b'-';
                }
                let matched = matched.filter(|at| NAME.get(*at) == Some(byte)).map(|at| at + 1);
                Some(if left > 1 { Self::Bytes { left: left - 1, plain, what, matched } } else { what.after(matched) })
            }
        }
    }

    fn start(byte: u8) -> Option<Self> {
        match byte {
            0x80.. => number(byte, 7, Then::End),
            0x40..=0x7f => number(byte, 6, Then::Named),
            0x20..=0x3f => number(byte, 5, Then::End),
            0x00..=0x1f => number(byte, 4, Then::Named),
        }
    }
}

/// A number whose first bits are the last `prefix` ones of a byte.
fn number(byte: u8, prefix: u32, then: Then) -> Option<Field> {
    let most = (1_u64 << prefix) - 1;
    let value = u64::from(byte) & most;
    Some(if value < most { then.after(value) } else { Field::Number { value, shift: 0, then } })
}

impl Then {
    fn after(self, value: u64) -> Field {
        match self {
            Self::End => Field::Start,
            Self::Named if value == 0 => Field::String { what: What::Name },
            Self::Named => Field::String { what: What::Value(value == NAME_INDEX) },
            Self::Length { what, .. } if value == 0 => what.after(None),
            Self::Length { plain, what } => {
                let matched = (plain && what == What::Name).then_some(0);
                Field::Bytes { left: value, plain, what, matched }
            }
        }
    }
}

impl What {
    /// What follows the string. `matched`: how much of the authority's name it is.
    fn after(self, matched: Option<usize>) -> Field {
        match self {
            Self::Name => Field::String { what: Self::Value(matched == Some(NAME.len())) },
            Self::Value(_) => Field::Start,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first bytes of grpcio 1.85.3, with the headers of its first request.
    const GRPCIO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00$\x04\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x04\x00@\x00\x00\x00\x05\x00@\x00\x00\x00\x06\x00\x00@\x00\xfe\x03\x00\x00\x00\x01\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00?\x00\x01\x00\x00\x00\x04\x01\x00\x00\x00\x00\x00\x00\xdc\x01\x04\x00\x00\x00\x01@\x05:path\x06/a.B/C@\n:authority\x15tmp%2Fgrpcpy%2Fs.sock\x83\x86@\x0ccontent-type\x10application/grpc@\x02te\x08trailers@\x14grpc-accept-encoding\x17identity, deflate, gzip@\x0cgrpc-timeout\x04993m@\nuser-agent0grpc-python/1.85.3 grpc-c/58.0.0 (linux; chttp2)\x00\x00\x04\x08\x00\x00\x00\x00\x01\x00\x00\x00\x05\x00\x00\x05\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00";

    /// Two frames of headers.
    fn connection(flags: u8, block: &[u8], next: &[u8]) -> Vec<u8> {
        let mut bytes = GRPCIO[..PREFACE_BYTES].to_vec();
        for (flags, block) in [(flags, block), (0x4, next)] {
            bytes.extend([0, 0, u8::try_from(block.len()).unwrap(), HEADERS, flags, 0, 0, 0, 1]);
            bytes.extend(block);
        }
        bytes
    }

    /// Gives the bytes in pieces of `size`.
    fn rewritten(bytes: &[u8], size: usize) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let mut authority = Authority::new();
        bytes.chunks_mut(size).for_each(|piece| authority.rewrite(piece));
        bytes
    }

    #[test]
    fn percent_signs_of_the_authority_alone_become_dashes_wherever_the_bytes_are_cut() {
        let text = String::from_utf8_lossy(GRPCIO).replace("tmp%2Fgrpcpy%2Fs.sock", "tmp-2Fgrpcpy-2Fs.sock");
        for size in 1..GRPCIO.len() {
            assert_eq!(String::from_utf8_lossy(&rewritten(GRPCIO, size)), text, "in pieces of {size}");
        }
    }

    #[test]
    fn the_authority_is_found_by_its_index_behind_padding_and_priority() {
        for (flags, block, expected) in [
            (0x4, &b"\x01\x03a%b"[..], &b"\x01\x03a-b"[..]),
            (0x4, b"\x41\x03a%b", b"\x41\x03a-b"),
            // Padded, with a priority.
            (0x2c, b"\x02\x00\x00\x00\x00\x10\x41\x03a%b%%", b"\x02\x00\x00\x00\x00\x10\x41\x03a-b%%"),
            // Compressed with Huffman's code: not touched.
            (0x4, b"\x41\x83a%b", b"\x41\x83a%b"),
            // Another header.
            (0x4, b"\x44\x03a%b\x40\x02te\x01%", b"\x44\x03a%b\x40\x02te\x01%"),
            // An index of many bytes.
            (0x4, b"\x7f\x01\x03a%b\x41\x01%", b"\x7f\x01\x03a%b\x41\x01-"),
            // No HPACK.
            (0x4, b"\x7f\xff\xff\xff\xff\xff\xff\xff\x41\x01%", b"\x7f\xff\xff\xff\xff\xff\xff\xff\x41\x01%"),
        ] {
            // After what is no HPACK nothing is touched.
            let next = if block.starts_with(b"\x7f\xff") { &b"\x41\x01%"[..] } else { b"\x41\x01-" };
            let expected = connection(flags, expected, next);
            assert_eq!(rewritten(&connection(flags, block, b"\x41\x01%"), 3), expected, "{block:?}");
        }
    }

    #[test]
    fn nothing_panics_on_what_is_no_http2() {
        for seed in 0..2_000_u32 {
            let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
            let mut bytes = GRPCIO.to_vec();
            for _ in 0..8 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = PREFACE_BYTES + (state >> 8) as usize % (bytes.len() - PREFACE_BYTES);
                bytes[at] = u8::try_from(state >> 24).unwrap();
            }
            assert_eq!(rewritten(&bytes, 7).len(), bytes.len());
        }
    }
}
