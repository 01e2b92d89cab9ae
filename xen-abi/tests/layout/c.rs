//! Asks a C compiler: each question is a C expression whose value ends up in an object file's section, from
//! which `objcopy` takes it out. Nothing is run, so any cross compiler will do.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A cross compiler and the headers to ask it about.
pub struct Compiler {
    /// Prefix of its programs.
    pub prefix: &'static str,
    /// Folder that holds `xen/xen.h`.
    pub headers: PathBuf,
}

/// Seen as the hypervisor sees them, the headers have a few more numbers than a toolstack gets.
const PREAMBLE: &str = r"
#define __XEN__ 1
#define __XEN_TOOLS__ 1
#include <stddef.h>
#include <stdint.h>
#include <linux/psci.h>
#include <xen/xen.h>
#include <xen/arch-arm/smccc.h>
#include <xen/domctl.h>
#include <xen/errno.h>
#include <xen/event_channel.h>
#include <xen/features.h>
#include <xen/hvm/dm_op.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/hypfs.h>
#include <xen/io/blkif.h>
#include <xen/io/console.h>
#include <xen/io/netif.h>
#include <xen/io/protocols.h>
#include <xen/io/ring.h>
#include <xen/io/xenbus.h>
#include <xen/io/xs_wire.h>
#include <xen/physdev.h>
#include <xen/platform.h>
#include <xen/sched.h>
#include <xen/sysctl.h>
#include <xen/vcpu.h>
#include <xen/version.h>
#include <xen/xsm/flask_op.h>

#define REGISTER(name) \
    ((offsetof(struct vcpu_guest_core_regs, name) - offsetof(struct vcpu_guest_core_regs, x0)) / 8)
";

impl Compiler {
    /// The values of some expressions, each converted to 64 bits.
    pub fn values(&self, expressions: &[String]) -> Vec<u64> {
        let table: String =
            expressions.iter().map(|expression| format!("    (uint64_t)({expression}),\n")).collect();
        let source =
            format!("__attribute__((section(\".answers\"))) const uint64_t answers[] = {{\n{table}}};\n");
        let bytes = self.section(&source);
        let (values, rest) = bytes.as_chunks::<8>();
        assert!(rest.is_empty() && values.len() == expressions.len(), "an answer for each question");
        values.iter().map(|value| u64::from_le_bytes(*value)).collect()
    }

    /// The bytes of a constant of `c_type`, made from an initialiser.
    pub fn bytes(&self, c_type: &str, initialiser: &str) -> Vec<u8> {
        self.section(&format!(
            "typedef {c_type};\n\
             __attribute__((section(\".answers\"))) const answer_t answer = {initialiser};\n"
        ))
    }

    /// Compiles, and takes out the section called `.answers`.
    fn section(&self, source: &str) -> Vec<u8> {
        let folder = Folder::new(self.prefix);
        // Names that the headers expect of the hypervisor's sources.
        std::os::unix::fs::symlink(self.headers.join("xen"), folder.0.join("public")).unwrap();
        std::fs::create_dir(folder.0.join("xen")).unwrap();
        std::fs::write(folder.0.join("xen/lib.h"), "").unwrap();
        let c = folder.0.join("questions.c");
        let object = folder.0.join("questions.o");
        let answers = folder.0.join("answers");
        std::fs::write(&c, format!("{PREAMBLE}{source}")).unwrap();
        run(Command::new(format!("{}gcc", self.prefix))
            .args(["-std=gnu11", "-w", "-c", "-o"])
            .args([&object, &c])
            .arg("-I")
            .arg(&folder.0)
            .arg("-I")
            .arg(&self.headers));
        run(Command::new(format!("{}objcopy", self.prefix))
            .args(["-O", "binary", "-j", ".answers"])
            .args([&object, &answers]));
        std::fs::read(&answers).unwrap()
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
}

/// A folder of its own that goes away again.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let unique = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}{}-{unique}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}
