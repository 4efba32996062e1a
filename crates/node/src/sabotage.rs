//! Arms the faults that `ARGIOPE_SABOTAGE` names, in a binary that was built for that. Every start says so: such a
//! binary must not be mistaken for a sound one.

use argiope_protocol::sabotage::Fault;

/// Arms the faults of these names, with commas between.
pub(crate) fn arm() {
    let named = std::env::var("ARGIOPE_SABOTAGE").unwrap_or_default();
    for fault in Fault::ALL.iter().filter(|fault| named.split(',').any(|name| name == fault.name())) {
        fault.arm();
        crate::cli::output::note(format!("SABOTAGED: this build runs with the fault {:?}", fault.name()));
    }
    crate::cli::output::note("this is a test build that can break its promises: do not crawl with it");
}
