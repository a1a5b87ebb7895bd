//! The program that brings the customer's files to the chatbot, tested in its own language.

use std::{path::Path, process::Command};

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
