//! The file server of the stack `ai-fileserver-pg` as its chart configures it: the program itself, on this machine. No cluster.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use landlord_kube::yaml;

use crate::support::shipped::{contract, helm};

/// What a customer may put, what each account sees, and who is locked out by wrong passwords.
#[test]
fn the_file_server_holds_quotas_and_accounts_and_locks_out_only_who_guesses() -> Result<()> {
    let rendered = helm(&["template", "files"], "files", &contract())?;
    ensure!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
    let objects = yaml::documents(&String::from_utf8(rendered.stdout)?).map_err(anyhow::Error::msg)?;
    let config =
        objects.iter().find_map(|object| object["data"]["copyparty.conf"].as_str()).context("no configuration")?;
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files");
    let python = landlord_test_kube::python_env(&own.join("requirements.txt"))?;
    let output = Command::new(python).arg("-B").arg(own.join("test_files.py")).env("CONFIG", config).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
