//! Which dom0 with which guest runs on which hypervisor: one list, of which the tests and README's table are made.
use machine::{
    Arch::{Arm32, Arm64},
    paths,
};
use std::{env, fs};
use system_tests::{
    artifacts::Hypervisor::{Ours, OursArm64, OursArm64Gicv3, OursGicv3, Xen, XenArm64, XenArm64Gicv3},
    combination::{
        Combination,
        Dom0::{DebianDom0, NoDom0, RustDom0},
        Guest::{DebianAndTicker, DebianGuest, Hello, NoGuest, Ticker, TwoTickers},
        When, table,
    },
};

/// Makes a test of each line, and `PROVEN` of all. A line says when the test runs, its name, dom0, guest, and the
/// number of CPUs, with their kind if it is not the usual one.
macro_rules! combinations {
    ($(mod $module:ident on $on:ident {
        $($when:ident $name:ident: $dom0:expr, $guest:expr, $cpus:literal $(of $cpu:literal)?;)*
    })*) => {
        $(mod $module {
            use super::*;
            $(test!($when $name Combination::new($on, $dom0, $guest, $cpus)$(.of($cpu))?);)*
        })*
        const PROVEN: &[(When, Combination)] =
            &[$($((When::$when, Combination::new($on, $dom0, $guest, $cpus)$(.of($cpu))?),)*)*];
    };
}

macro_rules! test {
    (Always $name:ident $what:expr) => {
        #[test]
        fn $name() {
            $what.prove();
        }
    };
    (All $name:ident $what:expr) => {
        #[test]
        #[ignore = "a combination of what quick tests show"]
        fn $name() {
            $what.prove();
        }
    };
}

combinations! {
    mod arm32 on Ours {
        Always hello_alone:              NoDom0,            Hello(Arm32),       1;
        Always debian_alone:             NoDom0,            DebianGuest(Arm32), 1;
        Always hello_under_rust:         RustDom0(Arm32),   Hello(Arm32),       1;
        Always debian_under_rust:        RustDom0(Arm32),   DebianGuest(Arm32), 1;
        Always two_under_rust:           RustDom0(Arm32),   TwoTickers(Arm32),  2;
        Always debian_dom0:              DebianDom0(Arm32), NoGuest,            1;
        Always hello_under_debian:       DebianDom0(Arm32), Hello(Arm32),       1;
        Always ticker_under_debian:      DebianDom0(Arm32), Ticker(Arm32),      1;
        Always debian_under_debian:      DebianDom0(Arm32), DebianGuest(Arm32), 1;
        All    debian_under_debian_on_2: DebianDom0(Arm32), DebianGuest(Arm32), 2;
    }
    mod arm32_gicv3 on OursGicv3 {
        Always hello_alone:              NoDom0,            Hello(Arm32),       1;
        Always hello_under_rust:         RustDom0(Arm32),   Hello(Arm32),       1;
        Always two_under_rust:           RustDom0(Arm32),   TwoTickers(Arm32),  2;
        Always debian_dom0:              DebianDom0(Arm32), NoGuest,            4;
        Always ticker_under_debian:      DebianDom0(Arm32), Ticker(Arm32),      1;
        All    debian_under_debian_on_2: DebianDom0(Arm32), DebianGuest(Arm32), 2;
    }
    mod arm64 on OursArm64 {
        Always hello_alone:              NoDom0,            Hello(Arm64),       1;
        Always hello32_alone:            NoDom0,            Hello(Arm32),       1;
        Always debian_alone:             NoDom0,            DebianGuest(Arm64), 1;
        All    debian_alone_on_2_max:    NoDom0,            DebianGuest(Arm64), 2 of "max,pauth-impdef=on";
        Always debian_alone_on_4:        NoDom0,            DebianGuest(Arm64), 4;
        All    debian32_alone:           NoDom0,            DebianGuest(Arm32), 1;
        All    debian32_alone_on_2:      NoDom0,            DebianGuest(Arm32), 2;
        Always hello_under_rust:         RustDom0(Arm64),   Hello(Arm64),       1;
        Always hello32_under_rust:       RustDom0(Arm64),   Hello(Arm32),       1;
        Always ticker_under_rust:        RustDom0(Arm64),   Ticker(Arm64),      2;
        Always ticker32_under_rust:      RustDom0(Arm64),   Ticker(Arm32),      2;
        Always debian_under_rust:        RustDom0(Arm64),   DebianGuest(Arm64), 1;
        All    debian32_under_rust:      RustDom0(Arm64),   DebianGuest(Arm32), 1;
        Always hello_under_rust32:       RustDom0(Arm32),   Hello(Arm64),       1;
        Always hello32_under_rust32:     RustDom0(Arm32),   Hello(Arm32),       1;
        All    ticker32_under_rust32:    RustDom0(Arm32),   Ticker(Arm32),      2;
        All    debian_under_rust32:      RustDom0(Arm32),   DebianGuest(Arm64), 1;
        All    debian32_under_rust32:    RustDom0(Arm32),   DebianGuest(Arm32), 1;
        All    debian_dom0:              DebianDom0(Arm64), NoGuest,            1;
        Always hello_under_debian:       DebianDom0(Arm64), Hello(Arm64),       1;
        Always ticker32_under_debian:    DebianDom0(Arm64), Ticker(Arm32),      1;
        Always debian_under_debian:      DebianDom0(Arm64), DebianGuest(Arm64), 1;
        Always debian_under_debian_on_2: DebianDom0(Arm64), DebianGuest(Arm64), 2;
        All    debian_under_debian_on_8: DebianDom0(Arm64), DebianGuest(Arm64), 8;
        All    debian32_under_debian:    DebianDom0(Arm64), DebianGuest(Arm32), 1;
        Always hello_under_debian32:     DebianDom0(Arm32), Hello(Arm64),       1;
        All    debian_under_debian32:    DebianDom0(Arm32), DebianGuest(Arm64), 1;
        All    debian32_under_debian32:  DebianDom0(Arm32), DebianGuest(Arm32), 1;
    }
    mod arm64_gicv3 on OursArm64Gicv3 {
        All    debian_alone:           NoDom0,            DebianGuest(Arm64),     1;
        All    debian_alone_on_2_a72:  NoDom0,            DebianGuest(Arm64),     2 of "cortex-a72";
        All    debian_alone_on_4_a53:  NoDom0,            DebianGuest(Arm64),     4 of "cortex-a53";
        Always debian_alone_on_4_max:  NoDom0,            DebianGuest(Arm64),     4 of "max,pauth-impdef=on";
        All    debian_alone_on_8:      NoDom0,            DebianGuest(Arm64),     8;
        Always hello_under_rust:       RustDom0(Arm64),   Hello(Arm64),           1;
        Always ticker_under_rust:      RustDom0(Arm64),   Ticker(Arm64),          2;
        All    debian_under_rust_on_2: RustDom0(Arm64),   DebianGuest(Arm64),     2;
        Always debian_dom0:            DebianDom0(Arm64), NoGuest,                4;
        Always ticker_under_debian:    DebianDom0(Arm64), Ticker(Arm64),          1;
        All    debian_under_debian:    DebianDom0(Arm64), DebianGuest(Arm64),     1;
        All    two_under_debian_on_4:  DebianDom0(Arm64), DebianAndTicker(Arm64), 4;
        All    debian32_under_debian:  DebianDom0(Arm64), DebianGuest(Arm32),     1;
        All    debian32_dom0:          DebianDom0(Arm32), NoGuest,                1;
    }
    // What fails on Debian's Xen says nothing about our hypervisor.
    mod xen32 on Xen {
        Always hello_alone:         NoDom0,            Hello(Arm32),       1;
        Always debian_alone:        NoDom0,            DebianGuest(Arm32), 1;
        Always hello_under_rust:    RustDom0(Arm32),   Hello(Arm32),       1;
        Always debian_under_rust:   RustDom0(Arm32),   DebianGuest(Arm32), 1;
        Always debian_dom0:         DebianDom0(Arm32), NoGuest,            1;
        Always hello_under_debian:  DebianDom0(Arm32), Hello(Arm32),       1;
        Always ticker_under_debian: DebianDom0(Arm32), Ticker(Arm32),      1;
        Always debian_under_debian: DebianDom0(Arm32), DebianGuest(Arm32), 1;
    }
    mod xen_arm64 on XenArm64 {
        Always hello_alone:           NoDom0,            Hello(Arm64),       1;
        All    debian32_alone:        NoDom0,            DebianGuest(Arm32), 1;
        Always hello_under_rust:      RustDom0(Arm64),   Hello(Arm64),       1;
        Always hello32_under_rust32:  RustDom0(Arm32),   Hello(Arm32),       1;
        All    debian_dom0:           DebianDom0(Arm64), NoGuest,            1;
        Always hello32_under_debian:  DebianDom0(Arm64), Hello(Arm32),       1;
        Always ticker_under_debian:   DebianDom0(Arm64), Ticker(Arm64),      1;
        All    ticker32_under_debian: DebianDom0(Arm64), Ticker(Arm32),      1;
        Always debian_under_debian:   DebianDom0(Arm64), DebianGuest(Arm64), 1;
        All    debian32_under_debian: DebianDom0(Arm64), DebianGuest(Arm32), 1;
        All    debian32_dom0:         DebianDom0(Arm32), NoGuest,            1;
    }
    mod xen_arm64_gicv3 on XenArm64Gicv3 {
        Always hello_under_rust:      RustDom0(Arm64),   Hello(Arm64),       1;
        All    debian_under_debian:   DebianDom0(Arm64), DebianGuest(Arm64), 1;
        All    debian32_under_debian: DebianDom0(Arm64), DebianGuest(Arm32), 1;
    }
}

/// Where the table is in README.
const MARKS: [&str; 2] = ["<!-- combinations, made by tests/tests/combinations.rs -->\n\n", "\n<!-- end -->"];

/// README has the table of the list above. With `WRITE_README` in the environment it gets it.
#[test]
fn readme_has_the_table() {
    let file = paths::workspace().join("README.md");
    let readme = fs::read_to_string(&file).expect("README is text");
    let (before, rest) = readme.split_once(MARKS[0]).expect("a mark before the table");
    let (shown, after) = rest.split_once(MARKS[1]).expect("a mark behind the table");
    let table = table(PROVEN);
    if env::var_os("WRITE_README").is_some() {
        fs::write(&file, [before, MARKS[0], &table, MARKS[1], after].concat()).expect("README is writable");
    } else {
        assert!(
            shown == table,
            "README does not say what the tests prove; run this test with WRITE_README=1"
        );
    }
}
