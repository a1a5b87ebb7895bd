//! What the stacks have run in Python: what brings the customer's files to the chatbot, tested in its own language, and what a
//! neighbour's pod tries.

use std::{net::TcpListener, path::Path, process::Command};

use landlord_deploy::{chart::ChartMirrors, check::Use, stack::Stack};

#[test]
fn the_chatbots_knowledge_follows_the_files() {
    let test = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents/test_documents.py");
    let output = Command::new("python3")
        .args(["-B", "-W", "error::SyntaxWarning"])
        .arg(test)
        .output()
        .expect("python3 can't be run; install Python 3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What the neighbour's pod of the stack runs: a line for each address, and an end that says so where it could not try.
#[test]
fn the_neighbours_program_says_of_each_address_whether_it_is_open() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/stacks/ai-fileserver-pg");
    let stack = Stack::load(&folder, &ChartMirrors::new()).unwrap();
    let command = stack.manifest.checks.iter().find_map(|check| match &check.uses {
        Use::Attempt(attempt) => Some(attempt.command.clone()),
        _ => None,
    });
    let command = command.expect("the stack has a neighbour try it");
    let result = tempfile::NamedTempFile::new().unwrap();
    let run = |addresses: &[&str]| {
        let mut program = Command::new(&command[0]);
        program.args(&command[1..]).args(addresses).env("RESULT", result.path());
        program.output().expect("python3 can't be run; install Python 3")
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (open, closed) = (format!("127.0.0.1 {}", listener.local_addr().unwrap().port()), "127.0.0.1 1");
    let ended = run(&[closed, &open]);
    assert!(ended.status.success() && ended.stderr.is_empty(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(std::fs::read_to_string(result.path()).unwrap(), format!("closed {closed}\nopen {open}\n"));
    // Neither open nor closed.
    std::fs::write(result.path(), "").unwrap();
    let ended = run(&[closed, "127.0.0.1 x"]);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(std::fs::read(result.path()).unwrap().is_empty());
}
