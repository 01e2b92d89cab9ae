//! `doctor`: what would be used, and what is missing.
use crate::{Result, setup};

/// Prints every need with what was found for it.
pub fn run() -> Result<()> {
    let mut missing = 0;
    for need in setup::NEEDS {
        match need.found() {
            Ok(found) => println!("ok       {found}"),
            Err(what) => {
                missing += 1;
                println!("missing  {what} (Debian: {})", need.packages());
            }
        }
    }
    let debian = if setup::is_debian() { "Debian" } else { "not Debian" };
    let user = if setup::is_root() { "root" } else { "not root" };
    println!("system   {debian}, {user}");
    match missing {
        0 => Ok(()),
        n if setup::is_debian() && setup::is_root() => {
            println!("the {n} missing above are installed by the first command that needs them");
            Ok(())
        }
        n => Err(format!("{n} missing, see above")),
    }
}
