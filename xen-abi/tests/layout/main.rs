//! Compares every structure and constant of this crate with Xen's public headers, as a C compiler for each
//! architecture sees them.
//!
//! The headers are Debian's `libxen-dev` of that architecture; `XEN_HEADERS_ARMHF` and `XEN_HEADERS_ARM64`
//! name the folder that holds `xen/xen.h` (`cargo xtask test` fetches the packages and sets them). The
//! compilers are those of `gcc-arm-linux-gnueabihf` and `gcc-aarch64-linux-gnu`, with `libc6-dev-*-cross`.
//! Without them the comparison is skipped, but with `XEN_ABI_LAYOUT=require` that is a failure.

mod c;
mod entry;
mod source;
mod table;

use std::fmt::Display;
use std::path::PathBuf;
use std::process::Command;

use c::Compiler;
use entry::{Constant, Structure};
use xen_abi::{Errno, io, psci};

#[test]
fn layouts_are_those_of_the_armhf_headers() {
    compare("arm-linux-gnueabihf-", "armhf", "XEN_HEADERS_ARMHF");
}

#[test]
fn layouts_are_those_of_the_arm64_headers() {
    compare("aarch64-linux-gnu-", "arm64", "XEN_HEADERS_ARM64");
}

#[test]
fn every_constant_is_in_the_table() {
    let names = source::names().constants;
    assert!(names.len() > 500, "the source was read");
    let known: Vec<_> = table::constants().iter().map(|constant| constant.name).collect();
    let special = ["io::PROTOCOL_ABI_ARM", "io::xs_wire::ERRORS"];
    let missing: Vec<_> = names
        .iter()
        .filter(|name| !known.contains(&name.as_str()) && !special.contains(&name.as_str()))
        .filter(|name| !table::WITHOUT_HEADER.iter().any(|(prefix, _)| name.starts_with(prefix)))
        .collect();
    assert!(missing.is_empty(), "compared with no header: {missing:#?}");
}

#[test]
fn every_field_is_in_the_table() {
    let table = table::structures();
    let mut missing = vec![];
    for (name, fields) in source::names().structures {
        match table.iter().find(|structure| structure.name == name) {
            None => missing.push(name),
            Some(structure) => missing.extend(
                fields
                    .iter()
                    .filter(|field| !structure.fields.iter().any(|known| known.name == **field))
                    .map(|field| format!("{name}.{field}")),
            ),
        }
    }
    assert!(missing.is_empty(), "compared with no header: {missing:#?}");
}

/// Compares everything with one architecture's headers, if they and its compiler are here.
fn compare(prefix: &'static str, debian_arch: &str, variable: &str) {
    let compiler = match find(prefix, debian_arch, variable) {
        Ok(compiler) => compiler,
        Err(missing) if std::env::var("XEN_ABI_LAYOUT").as_deref() == Ok("require") => {
            panic!("the layout test is required but cannot run: {missing}")
        }
        Err(missing) => {
            eprintln!("skipped: {missing}");
            return;
        }
    };
    let mut differences = vec![];
    let structures: Vec<_> = table::structures().into_iter().chain(table::scalars()).collect();
    compare_structures(&compiler, &structures, &mut differences);
    compare_constants(&compiler, &table::constants(), &mut differences);
    compare_errors(&compiler, &mut differences);
    compare_bytes(&compiler, &mut differences);
    assert!(differences.is_empty(), "not as in Xen's headers:\n{}", differences.join("\n"));
}

fn find(prefix: &'static str, debian_arch: &str, variable: &str) -> Result<Compiler, String> {
    let headers = std::env::var_os(variable).map(PathBuf::from).ok_or_else(|| {
        format!("{variable} is not set to the include folder of libxen-dev (`cargo xtask test` does that)")
    })?;
    if !headers.join("xen/xen.h").is_file() {
        return Err(format!("{variable}: {} holds no xen/xen.h", headers.display()));
    }
    let gcc = format!("{prefix}gcc");
    match Command::new(&gcc).arg("--version").output() {
        Ok(output) if output.status.success() => Ok(Compiler { prefix, headers }),
        _ => {
            let package = prefix.trim_end_matches('-');
            Err(format!("there is no {gcc} (Debian: gcc-{package} and libc6-dev-{debian_arch}-cross)"))
        }
    }
}

/// A list of questions with our answers, asked of the compiler all at once.
#[derive(Default)]
struct Questions {
    names: Vec<String>,
    ours: Vec<i128>,
    expressions: Vec<String>,
}

impl Questions {
    fn push(&mut self, name: impl Display, ours: i128, expression: String) {
        self.names.push(name.to_string());
        self.ours.push(ours);
        self.expressions.push(expression);
    }

    /// Compares as 64-bit patterns: C gives `-1` and an unsigned maximum the same one.
    fn ask(&self, compiler: &Compiler, differences: &mut Vec<String>) {
        let theirs = compiler.values(&self.expressions);
        for (((name, ours), expression), theirs) in
            self.names.iter().zip(&self.ours).zip(&self.expressions).zip(theirs)
        {
            if *ours as u64 != theirs {
                differences.push(format!("{name} is {ours:#x}, {expression} is {theirs:#x}"));
            }
        }
    }
}

fn compare_structures(compiler: &Compiler, structures: &[Structure], differences: &mut Vec<String>) {
    let mut questions = Questions::default();
    for structure in structures {
        let (name, c_type) = (structure.name, structure.c_type);
        let size = match structure.c_until {
            None => format!("sizeof({c_type})"),
            Some(field) => format!("offsetof({c_type}, {field})"),
        };
        questions.push(format!("size of {name}"), structure.size as i128, size);
        let align = format!("__alignof__({c_type})");
        questions.push(format!("alignment of {name}"), structure.align as i128, align);
        for field in &structure.fields {
            let (field_name, c_name, count) = (field.name, field.c_name, field.c_count);
            let offset = format!("offsetof({c_type}, {c_name})");
            questions.push(format!("offset of {name}.{field_name}"), field.offset as i128, offset);
            let size = format!("sizeof((({c_type} *)0)->{c_name}) * {count}");
            questions.push(format!("size of {name}.{field_name}"), field.size as i128, size);
        }
    }
    questions.ask(compiler, differences);
}

fn compare_constants(compiler: &Compiler, constants: &[Constant], differences: &mut Vec<String>) {
    let mut questions = Questions::default();
    for constant in constants {
        questions.push(constant.name, constant.value, constant.c_expression.into());
    }
    questions.ask(compiler, differences);
}

fn compare_errors(compiler: &Compiler, differences: &mut Vec<String>) {
    let mut questions = Questions::default();
    for (errno, name) in Errno::NAMED {
        questions.push(name, errno.number().into(), format!("XEN_{name}"));
    }
    questions.ask(compiler, differences);

    let wire = std::fs::read_to_string(compiler.headers.join("xen/io/xs_wire.h")).unwrap();
    let theirs: Vec<_> =
        wire.lines().filter_map(|line| line.trim().strip_prefix("XSD_ERROR(")?.split(')').next()).collect();
    if theirs != io::xs_wire::ERRORS {
        differences.push(format!("xs_wire::ERRORS is {:?}, xsd_errors {theirs:?}", io::xs_wire::ERRORS));
    }
}

fn compare_bytes(compiler: &Compiler, differences: &mut Vec<String>) {
    let mut protocol = io::PROTOCOL_ABI_ARM.as_bytes().to_vec();
    protocol.push(0);
    for (name, ours, c_type, initialiser) in [
        ("io::PROTOCOL_ABI_ARM", &protocol[..], "char answer_t[]", "XEN_IO_PROTO_ABI_ARM"),
        ("psci::smccc::XEN_UID", &psci::smccc::XEN_UID, "xen_uuid_t answer_t", "XEN_SMCCC_UID"),
        ("psci::smccc::SSSC_UID", &psci::smccc::SSSC_UID, "xen_uuid_t answer_t", "SSSC_SMCCC_UID"),
    ] {
        let theirs = compiler.bytes(c_type, initialiser);
        if ours != theirs {
            differences.push(format!("{name} is {ours:02x?}, {initialiser} is {theirs:02x?}"));
        }
    }
}
