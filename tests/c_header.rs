//! `include/signet_pkcs11.h`, as C compilers understand it, against the Rust
//! bindings and against the distribution's header.

// Helpers outside the test functions fail a test by panicking, as those do.
#![allow(clippy::unwrap_used)]

#[path = "c/compiler.rs"]
mod compiler;

use compiler::{INCLUDE, P11_KIT, STRICT, compile, run};
use std::any::type_name;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::mem::offset_of;
use std::process::Command;

/// Number by name.
type Numbers = BTreeMap<String, u64>;

macro_rules! constants {
    ($($name:ident)+) => { [$((stringify!($name), u64::from(cryptoki_sys::$name)),)+] };
}

/// A structure's name and size, and its fields with their offsets.
type Layout = (&'static str, usize, &'static [(&'static str, usize)]);

macro_rules! layouts {
    ($($name:ident { $($field:ident)+ })+) => {
        [$((
            stringify!($name),
            size_of::<cryptoki_sys::$name>(),
            &[$((stringify!($field), offset_of!(cryptoki_sys::$name, $field)),)+],
        ),)+]
    };
}

/// A function's name, its offset in every list that has it, and its type in Rust.
type Function = (&'static str, usize, &'static str);

macro_rules! functions {
    ($($list:ident { $($name:ident)+ })+) => {
        [$((
            stringify!($list),
            size_of::<cryptoki_sys::$list>(),
            vec![$((
                stringify!($name),
                offset_of!(cryptoki_sys::CK_FUNCTION_LIST_3_2, $name),
                type_of(|list: &cryptoki_sys::CK_FUNCTION_LIST_3_2| list.$name),
            ),)+],
        ),)+]
    };
}

fn type_of<T>(_: impl Fn(&cryptoki_sys::CK_FUNCTION_LIST_3_2) -> T) -> &'static str {
    type_name::<T>()
}

fn bindings() -> Numbers {
    #[allow(clippy::useless_conversion, reason = "CK_ULONG is not 64 bits wide everywhere")]
    let constants = include!("c_header/constants.rs");
    constants.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

const LAYOUTS: &[Layout] = &include!("c_header/layouts.rs");

/// Each function list, and the functions it adds to the one before.
fn functions() -> [(&'static str, usize, Vec<Function>); 3] {
    include!("c_header/functions.rs")
}

/// The constants that a header's text defines.
fn defined(header: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(header).unwrap();
    text.lines()
        .filter_map(|line| line.trim_start().strip_prefix("#define "))
        .filter_map(|rest| rest.split_once([' ', '\t']))
        .filter(|(name, value)| {
            let prefix = name.split_once('_').map_or("", |(prefix, _)| prefix);
            let number = value.trim_start().starts_with(|c: char| c.is_ascii_digit() || c == '(');
            let constant = prefix.starts_with("CK") && prefix.len() <= 3;
            constant && number && !name.contains('(')
        })
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// Compiles and runs a program that prints each expression's value.
fn evaluate<'a>(
    include: &str,
    header: &str,
    expressions: impl IntoIterator<Item = &'a str>,
) -> Numbers {
    let mut source = format!("#include <stddef.h>\n#include <stdio.h>\n#include <{header}>\n");
    source.push_str("int main(void) {\n");
    for expression in expressions {
        writeln!(source, "printf(\"%lu {expression}\\n\", (unsigned long)({expression}));")
            .unwrap();
    }
    source.push_str("return 0;\n}\n");
    let folder = tempfile::tempdir().unwrap();
    let (path, program) = (folder.path().join("print.c"), folder.path().join("print"));
    std::fs::write(&path, source).unwrap();
    compile(&path, &program, &["-I", include]);
    let output = Command::new(&program).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(value, name)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

/// Whether a translation unit of these lines compiles; else the messages.
fn accepts(compiler: &str, options: &[&str], lines: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("unit.c");
    std::fs::write(&path, lines).unwrap();
    let fixed = ["-I", INCLUDE, "-I", P11_KIT, "-fsyntax-only", path.to_str().unwrap()];
    let output = run(compiler, options.iter().chain(&fixed));
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn constants_are_those_of_the_bindings() {
    let bindings = bindings();
    let ours = defined(&format!("{INCLUDE}/signet_pkcs11.h"));
    assert_eq!(ours, bindings.keys().cloned().collect());
    assert!(ours.len() > 1000, "{} constants", ours.len());
    let values = evaluate(INCLUDE, "signet_pkcs11.h", ours.iter().map(String::as_str));
    for (name, value) in &values {
        assert_eq!(*value, bindings[name], "{name}");
    }
    assert_eq!(values.len(), bindings.len());
}

#[test]
fn constants_agree_with_the_distributions_header() {
    let path = format!("{P11_KIT}/p11-kit/pkcs11.h");
    let theirs = defined(&path);
    let ours = defined(&format!("{INCLUDE}/signet_pkcs11.h"));
    // Neither is in version 3.2.
    let foreign: BTreeSet<String> = ["CKC_OPENPGP", "CK_OTP_FORMAT"].map(String::from).into();
    assert_eq!(theirs.difference(&ours).cloned().collect::<BTreeSet<_>>(), foreign);
    let common: Vec<&str> = theirs.intersection(&ours).map(String::as_str).collect();
    assert!(common.len() > 600, "{} constants", common.len());
    let theirs = evaluate(P11_KIT, "p11-kit/pkcs11.h", common.iter().copied());
    let ours = evaluate(INCLUDE, "signet_pkcs11.h", common);
    let different: Vec<&str> = theirs
        .iter()
        .filter(|(name, value)| ours[*name] != **value)
        .map(|(name, _)| name.as_str())
        .collect();
    // p11-kit 0.24 has each of these 11 too high (0x1c0 to 0x1c4); the standard's
    // numbers (0x1b5 to 0x1b9), which are ours, are in the bindings.
    let wrong_there = [
        "CKR_EXCEEDED_MAX_ITERATIONS",
        "CKR_FIPS_SELF_TEST_FAILED",
        "CKR_LIBRARY_LOAD_FAILED",
        "CKR_PIN_TOO_WEAK",
        "CKR_PUBLIC_KEY_INVALID",
    ];
    let stray: Vec<&&str> = different.iter().filter(|name| !wrong_there.contains(name)).collect();
    assert!(stray.is_empty(), "{stray:?}");
}

#[test]
fn structures_are_laid_out_as_in_the_bindings() {
    let mut expected = Numbers::new();
    for (name, size, fields) in LAYOUTS {
        expected.insert(format!("sizeof({name})"), *size as u64);
        for (field, offset) in *fields {
            let field = field.trim_end_matches('_');
            expected.insert(format!("offsetof({name}, {field})"), *offset as u64);
        }
    }
    let values = evaluate(INCLUDE, "signet_pkcs11.h", expected.keys().map(String::as_str));
    assert_eq!(values, expected);
}

#[test]
fn every_structure_of_the_header_is_compared() {
    let text = std::fs::read_to_string(format!("{INCLUDE}/signet_pkcs11.h")).unwrap();
    let declared: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("struct ")?.strip_suffix(" {")).collect();
    let lists = functions().map(|(name, _, _)| name);
    let compared: BTreeSet<&str> = LAYOUTS.iter().map(|(name, _, _)| *name).chain(lists).collect();
    assert_eq!(declared, compared);
}

#[test]
fn function_lists_are_laid_out_as_in_the_bindings() {
    let mut expected = Numbers::new();
    let mut so_far = Vec::new();
    for (list, size, added) in functions() {
        so_far.extend(added);
        expected.insert(format!("sizeof({list})"), size as u64);
        for (name, offset, _) in &so_far {
            expected.insert(format!("offsetof({list}, {name})"), *offset as u64);
        }
    }
    assert_eq!(so_far.len(), 104);
    let values = evaluate(INCLUDE, "signet_pkcs11.h", expected.keys().map(String::as_str));
    assert_eq!(values, expected);
}

/// A parameter's type in C from its name in Rust.
fn in_c(parameter: &str) -> String {
    let base = parameter.trim_start_matches("*mut ");
    let stars = "*".repeat((parameter.len() - base.len()) / "*mut ".len());
    let base = match base {
        "u8" => "unsigned char",
        "core::ffi::c_void" => "void",
        _ if base == type_name::<cryptoki_sys::CK_ULONG>() => "unsigned long",
        _ => base.trim_start_matches("cryptoki_sys::"),
    };
    format!("{base} {stars}")
}

#[test]
fn prototypes_are_those_of_the_bindings() {
    let mut lines = String::from("#include \"signet_pkcs11.h\"\n");
    for (name, _, rust) in functions().into_iter().flat_map(|(_, _, functions)| functions) {
        let rust = rust.replace(type_name::<cryptoki_sys::CK_NOTIFY>(), "CK_NOTIFY");
        let (_, rest) = rust.split_once("fn(").unwrap();
        let (parameters, _) = rest.split_once(')').unwrap();
        let parameters: Vec<String> = parameters.split(", ").map(in_c).collect();
        let parameters = parameters.join(", ");
        writeln!(lines, "CK_RV (*check_{name})({parameters}) = {name};").unwrap();
        writeln!(lines, "CK_{name} member_{name} = {name};").unwrap();
    }
    assert_eq!(accepts("cc", &STRICT, &lines), Ok(()));
    // The check itself can fail: a swapped pair of parameters is noticed.
    lines.push_str("CK_RV (*wrong)(unsigned char *, unsigned long) = C_DigestKey;\n");
    assert!(accepts("cc", &STRICT, &lines).is_err());
}

#[test]
fn newer_c_and_cxx_accept_the_header() {
    let lines = "#include \"signet_pkcs11.h\"\n#include \"signet_pkcs11.h\"\n\
                 int main(void) { return C_Finalize(NULL_PTR) == CKR_OK ? 0 : 1; }\n";
    let strict = &STRICT[1..];
    for standard in ["-std=c99", "-std=c17"] {
        assert_eq!(accepts("cc", &[strict, &[standard]].concat(), lines), Ok(()));
    }
    for standard in ["-std=c++11", "-std=c++20"] {
        assert_eq!(accepts("c++", &[strict, &[standard, "-xc++"]].concat(), lines), Ok(()));
    }
}

#[test]
fn a_program_may_define_the_macros_of_the_oasis_headers() {
    let lines = "#define CK_PTR *\n#define NULL_PTR ((void *)0)\n\
                 #define CK_DECLARE_FUNCTION(result, name) result name\n\
                 #define CK_DECLARE_FUNCTION_POINTER(result, name) result (* name)\n\
                 #define CK_CALLBACK_FUNCTION(result, name) result (* name)\n\
                 #include \"signet_pkcs11.h\"\n\
                 CK_FUNCTION_LIST_PTR list = NULL_PTR;\n";
    assert_eq!(accepts("cc", &STRICT, lines), Ok(()));
}

#[test]
fn a_second_pkcs11_header_is_refused_before_and_left_out_after() {
    let before = "#include <p11-kit/pkcs11.h>\n#include \"signet_pkcs11.h\"\n";
    let why = accepts("cc", &STRICT, before).unwrap_err();
    assert!(why.contains("another PKCS#11 header"), "{why}");
    let after = "#include \"signet_pkcs11.h\"\n#include <p11-kit/pkcs11.h>\n\
                 #include <p11-kit/uri.h>\nCK_FUNCTION_LIST_3_2_PTR list;\n";
    assert_eq!(accepts("cc", &STRICT, after), Ok(()));
}
