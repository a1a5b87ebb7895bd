//! The plugin child alone, for the tests of this crate; in production `landlordd` re-executes
//! itself.

fn main() {
    landlord_plugin_host::run_child();
}
