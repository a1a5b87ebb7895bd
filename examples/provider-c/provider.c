/* A provider in C: the contract without Rust and without a protobuf library. It describes itself, takes its
 * configuration, checks orders, and knows a cloud in which nothing can be made: every ensure is refused in plain words,
 * and there is never anything to observe, to delete or to list. What it does it does by the contract: every message is
 * checked before it is believed, names are judged, errors are typed, and a call completes exactly once.
 *
 *     cc -std=c11 -fPIC -shared -I plugins/api/include -o target/provider-c.so examples/provider-c/provider.c
 *
 * The messages are those of proto/landlord/provider/v1/provider.proto; the numbers below are its field numbers. Their
 * encoding: https://protobuf.dev/programming-guides/encoding/ */
#include <stdlib.h>
#include <string.h>

#include "landlord_provider.h"

enum error_kind { KIND_INVALID = 4, KIND_INTERNAL = 9 };
enum wire { WIRE_VARINT = 0, WIRE_I64 = 1, WIRE_LEN = 2, WIRE_I32 = 5 };

/* Longest piece of a setting that is repeated in an error. */
#define SHOWN_MAX 200u

static const landlord_host_table *host;

/* ------------------------------------------------------------------ writing messages */

typedef struct out {
    uint8_t *ptr;
    size_t len;
    size_t capacity;
} out;

static void put(out *o, const void *bytes, size_t len) {
    if (len == 0) {
        return;
    }
    if (o->len + len > o->capacity) {
        size_t capacity = (o->len + len) * 2;
        uint8_t *grown = realloc(o->ptr, capacity);
        if (grown == NULL) {
            abort(); /* The host takes a process that ends for a call to be repeated. */
        }
        o->ptr = grown;
        o->capacity = capacity;
    }
    memcpy(o->ptr + o->len, bytes, len);
    o->len += len;
}

static void put_varint(out *o, uint64_t value) {
    do {
        uint8_t byte = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        put(o, &byte, 1);
        value >>= 7;
    } while (value > 0);
}

static void put_number(out *o, uint32_t field, uint64_t value) {
    put_varint(o, (uint64_t)field << 3 | WIRE_VARINT);
    put_varint(o, value);
}

static void put_bytes(out *o, uint32_t field, const void *bytes, size_t len) {
    put_varint(o, (uint64_t)field << 3 | WIRE_LEN);
    put_varint(o, len);
    put(o, bytes, len);
}

static void put_text(out *o, uint32_t field, const char *text) { put_bytes(o, field, text, strlen(text)); }

/* Puts a message into a field of another, and forgets it. */
static void put_message(out *o, uint32_t field, out *message) {
    put_bytes(o, field, message->ptr, message->len);
    free(message->ptr);
    *message = (out){0};
}

/* ------------------------------------------------------------------ reading messages */

typedef struct field {
    uint32_t number;
    uint32_t wire;
    uint64_t value;       /* WIRE_VARINT */
    landlord_slice bytes; /* WIRE_LEN */
} field;

static int take_varint(landlord_slice *in, uint64_t *value) {
    *value = 0;
    for (unsigned shift = 0; shift < 64 && in->len > 0; shift += 7) {
        uint8_t byte = *in->ptr++;
        in->len--;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return 1;
        }
    }
    return 0;
}

static int take_bytes(landlord_slice *in, uint64_t len, landlord_slice *bytes) {
    if (len > in->len) {
        return 0;
    }
    *bytes = (landlord_slice){in->ptr, (size_t)len};
    in->ptr += len;
    in->len -= (size_t)len;
    return 1;
}

/* 1: a field; 0: the end; -1: no protobuf message. */
static int next(landlord_slice *in, field *f) {
    uint64_t key, len;
    if (in->len == 0) {
        return 0;
    }
    *f = (field){0};
    if (!take_varint(in, &key) || key >> 3 == 0 || key >> 3 > 0x1fffffff) {
        return -1;
    }
    f->number = (uint32_t)(key >> 3);
    f->wire = (uint32_t)(key & 7);
    switch (f->wire) {
    case WIRE_VARINT:
        return take_varint(in, &f->value) ? 1 : -1;
    case WIRE_I64:
        return take_bytes(in, 8, &f->bytes) ? 1 : -1;
    case WIRE_I32:
        return take_bytes(in, 4, &f->bytes) ? 1 : -1;
    case WIRE_LEN:
        return take_varint(in, &len) && take_bytes(in, len, &f->bytes) ? 1 : -1;
    default:
        return -1;
    }
}

/* The last field with this number; 0 if the message is none. A missing field is empty, as protobuf has it; a newer
 * contract's fields are passed over. */
static int find(landlord_slice message, uint32_t number, uint32_t wire, field *found) {
    field f;
    int more;
    *found = (field){0};
    while ((more = next(&message, &f)) > 0) {
        if (f.number == number) {
            if (f.wire != wire) {
                return 0;
            }
            *found = f;
        }
    }
    return more == 0;
}

static int is_empty(landlord_slice text) { return text.len == 0; }

static int equals(landlord_slice text, const char *other) {
    return text.len == strlen(other) && (text.len == 0 || memcmp(text.ptr, other, text.len) == 0);
}

/* ------------------------------------------------------------------ answering */

typedef struct call_context {
    void *context;
    landlord_completion done;
} call_context;

static void free_bytes(uint8_t *ptr, size_t len, size_t capacity) {
    (void)len;
    (void)capacity;
    free(ptr);
}

static void answer(call_context c, uint32_t status, out *message) {
    landlord_buffer payload = {message->ptr, message->len, message->capacity, free_bytes};
    c.done(c.context, status, payload);
}

static void fail(call_context c, enum error_kind kind, const char *message, const char *remedy) {
    out error = {0};
    put_number(&error, 1, kind);
    put_text(&error, 2, message);
    put_text(&error, 4, remedy);
    answer(c, LANDLORD_STATUS_ERROR, &error);
}

static void fail_malformed(call_context c) { fail(c, KIND_INTERNAL, "the request is no message of the contract", ""); }

/* A response whose field 1 is Progress{gone}: that of Observe and of Delete. */
static void answer_gone(call_context c) {
    out nothing = {0}, progress = {0}, response = {0};
    put_message(&progress, 3, &nothing);
    put_message(&response, 1, &progress);
    answer(c, LANDLORD_STATUS_OK, &response);
}

/* ------------------------------------------------------------------ the methods */

static void describe(call_context c) {
    static const char *const ensures[] = {
        "EnsureNetwork", "EnsureCluster",    "EnsureAddons",   "EnsureNodePool",
        "EnsureDnsZone", "EnsureDnsRecords", "EnsureIdentity",
    };
    out d = {0};
    put_text(&d, 1, "c-example");
    put_text(&d, 2, "0.1.0");
    put_text(&d, 4, "{\"type\": \"object\", \"additionalProperties\": false}");
    put_text(&d, 5, "{\"type\": \"object\", \"additionalProperties\": false}");
    for (size_t i = 0; i < sizeof ensures / sizeof *ensures; i++) {
        out expected = {0}, second = {0};
        put_text(&expected, 1, ensures[i]);
        for (uint32_t which = 2; which <= 3; which++) { /* typical, slow */
            put_number(&second, 1, 1);
            put_message(&expected, which, &second);
        }
        put_message(&d, 6, &expected);
    }
    /* No rate buckets: it calls nobody. */
    answer(c, LANDLORD_STATUS_OK, &d);
}

static void configure(call_context c, landlord_slice request) {
    field settings;
    if (!find(request, 2, WIRE_LEN, &settings)) {
        fail_malformed(c);
        return;
    }
    if (!is_empty(settings.bytes) && !equals(settings.bytes, "{}")) {
        /* Settings are no secrets and may be repeated; a credential never is. */
        static const char start[] = "this provider takes no settings (an empty JSON object), not ";
        char message[sizeof start + SHOWN_MAX];
        size_t shown = settings.bytes.len < SHOWN_MAX ? settings.bytes.len : SHOWN_MAX;
        memcpy(message, start, sizeof start - 1);
        memcpy(message + sizeof start - 1, settings.bytes.ptr, shown);
        message[sizeof start - 1 + shown] = 0;
        fail(c, KIND_INVALID, message, "remove the provider's settings");
        return;
    }
    out nothing = {0};
    answer(c, LANDLORD_STATUS_OK, &nothing);
}

static void violation(out *response, const char *name, const char *description) {
    out v = {0};
    put_text(&v, 1, name);
    put_text(&v, 2, description);
    put_message(response, 1, &v);
}

static void validate(call_context c, landlord_slice request) {
    field scope, parameters, pool, zone, region, machine, count, domain;
    if (!find(request, 1, WIRE_LEN, &scope) || !find(request, 2, WIRE_LEN, &parameters) ||
        !find(request, 3, WIRE_LEN, &pool) || !find(request, 4, WIRE_LEN, &zone) ||
        !find(scope.bytes, 3, WIRE_LEN, &region) || !find(pool.bytes, 2, WIRE_LEN, &machine) ||
        !find(pool.bytes, 3, WIRE_VARINT, &count) || !find(zone.bytes, 1, WIRE_LEN, &domain)) {
        fail_malformed(c);
        return;
    }
    out response = {0};
    if (!equals(region.bytes, "here")) {
        violation(&response, "region", "must be `here`, the only region");
    }
    if (!is_empty(parameters.bytes) && !equals(parameters.bytes, "{}")) {
        violation(&response, "parameters", "must be an empty object");
    }
    /* A field that is absent has the number 0: no pool or no zone is wanted, as in a shared cluster. */
    if (pool.number != 0 && is_empty(machine.bytes)) {
        violation(&response, "machine_type", "must not be empty");
    }
    if (pool.number != 0 && (count.value < 1 || count.value > 1000)) {
        violation(&response, "node_count", "must be 1 to 1000");
    }
    if (zone.number != 0 &&
        (is_empty(domain.bytes) || memchr(domain.bytes.ptr, '.', domain.bytes.len) == NULL)) {
        violation(&response, "domain", "must be a domain such as acme.example");
    }
    answer(c, LANDLORD_STATUS_OK, &response);
}

/* Whether names may come from it: a UUID in lower case. */
static int is_uid(landlord_slice uid) {
    if (uid.len != 36) {
        return 0;
    }
    for (size_t i = 0; i < uid.len; i++) {
        uint8_t b = uid.ptr[i];
        int dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? b != '-' : !((b >= '0' && b <= '9') || (b >= 'a' && b <= 'f'))) {
            return 0;
        }
    }
    return 1;
}

/* Every other request has the scope as its field 1. */
static void scoped(call_context c, uint32_t method, landlord_slice request) {
    field scope, installation, uid, kind;
    if (!find(request, 1, WIRE_LEN, &scope) || !find(scope.bytes, 1, WIRE_LEN, &installation) ||
        !find(scope.bytes, 2, WIRE_LEN, &uid)) {
        fail_malformed(c);
        return;
    }
    int for_all = method == LANDLORD_METHOD_LIST_OWNED && is_empty(uid.bytes);
    if (is_empty(installation.bytes) || !(for_all || is_uid(uid.bytes))) {
        fail(c, KIND_INVALID, "the scope needs an installation, and a tenant uid that is a UUID in lower case", "");
        return;
    }
    out nothing = {0};
    switch (method) {
    case LANDLORD_METHOD_OBSERVE:
    case LANDLORD_METHOD_DELETE:
        if (!find(request, 2, WIRE_VARINT, &kind) || kind.value < 1 || kind.value > 8) {
            fail(c, KIND_INVALID, "the request names no kind that this provider knows", "");
            return;
        }
        answer_gone(c);
        return;
    case LANDLORD_METHOD_LIST_OWNED:
        answer(c, LANDLORD_STATUS_OK, &nothing);
        return;
    default:
        fail(c, KIND_INVALID, "not supported: this example has no cloud in which anything could be made",
             "use a class of another provider");
    }
}

/* ------------------------------------------------------------------ the table */

static void *create(const landlord_host_table *table) {
    static const char line[] = "{\"target\":\"provider_c\",\"message\":\"the example in C is loaded\"}";
    static int instance;
    landlord_slice json = {(const uint8_t *)line, sizeof line - 1};
    host = table;
    /* A host of a later minor version has a longer table; what is known of it is at its start. */
    if (host->struct_size >= sizeof *host) {
        host->log(host->context, 3, json);
    }
    return &instance;
}

/* Nothing here waits for anything, so a call may complete before it returns, on the caller's thread. A provider that
 * queries a cloud copies the request, hands it to a thread of its own, and returns. */
static void call(void *instance, uint32_t method, uint64_t call_id, uint64_t deadline_ms, landlord_slice request,
                 void *context, landlord_completion done) {
    call_context c = {context, done};
    (void)instance;
    (void)call_id;
    (void)deadline_ms;
    switch (method) {
    case LANDLORD_METHOD_DESCRIBE:
        describe(c);
        return;
    case LANDLORD_METHOD_CONFIGURE:
        configure(c, request);
        return;
    case LANDLORD_METHOD_VALIDATE:
        validate(c, request);
        return;
    case LANDLORD_METHOD_ENSURE_NETWORK:
    case LANDLORD_METHOD_ENSURE_CLUSTER:
    case LANDLORD_METHOD_ENSURE_ADDONS:
    case LANDLORD_METHOD_KUBE_ACCESS:
    case LANDLORD_METHOD_ENSURE_NODE_POOL:
    case LANDLORD_METHOD_ENSURE_DNS_ZONE:
    case LANDLORD_METHOD_ENSURE_DNS_RECORDS:
    case LANDLORD_METHOD_ENSURE_IDENTITY:
    case LANDLORD_METHOD_OBSERVE:
    case LANDLORD_METHOD_DELETE:
    case LANDLORD_METHOD_LIST_OWNED:
        scoped(c, method, request);
        return;
    default:
        fail(c, KIND_INTERNAL, "this plugin has no such method; it is older than the daemon", "");
    }
}

static void cancel(void *instance, uint64_t call_id) {
    (void)instance;
    (void)call_id;
}

static void destroy(void *instance) { (void)instance; }

static const landlord_plugin_table table = {
    LANDLORD_MAGIC, LANDLORD_ABI_MAJOR, LANDLORD_ABI_MINOR, sizeof table, create, call, cancel, destroy,
};

const landlord_plugin_table *landlord_plugin(void) { return &table; }
