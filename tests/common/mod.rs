//! What the harnesses that speak the C ABI share: loading a module, thin
//! helpers over its function lists, and a runner that gives every case its own
//! process and its own token directory.

// Each harness uses a part of this module.
#![allow(dead_code, unused_imports, unused_macros)]

mod ckr;
mod hash;
mod module;
mod paths;
mod runner;
mod session;
mod softhsm2;
mod value;
mod world;

pub use ckr::{Ckr, Rv, refused, refused_any, refused_somehow};
pub use hash::{HASHES, Hash};
pub use module::{FunctionListV2, FunctionListV3, Module, no_arguments};
pub use paths::{signet_module, softhsm2_module};
pub use runner::{Case, Chapter, Reference, departs, main, unasked, unasked_with_mounts};
pub use session::{RO, RW, Session, output};
pub use softhsm2::to_database;
pub use value::{Mech, Template, Value, mechanism_list};
pub use world::{Other, SO_PIN, USER_PIN, World};

/// Calls a function of the module's 2.40 list: `ck!(module, C_Logout(session))`.
/// What the function returned comes back as a `Result`.
macro_rules! ck {
    ($module:expr, $function:ident($($argument:expr),* $(,)?)) => {{
        let function = $module.v2().$function.expect(stringify!($function));
        // SAFETY: the case passes the arguments that it wants to see judged.
        $crate::common::Ckr::check(unsafe { function($($argument),*) })
    }};
}

/// Calls a function of the module's 3.2 list, as `ck!` does.
macro_rules! ck3 {
    ($module:expr, $function:ident($($argument:expr),* $(,)?)) => {{
        let function = $module.v3().$function.expect(stringify!($function));
        // SAFETY: the case passes the arguments that it wants to see judged.
        $crate::common::Ckr::check(unsafe { function($($argument),*) })
    }};
}

/// A template: `template![CKA_TOKEN => true, CKA_LABEL => "a"]`.
macro_rules! template {
    ($($attribute:expr => $value:expr),* $(,)?) => {
        $crate::common::Template::new()$(.with($attribute, $value))*
    };
}

/// The chapter's list of cases, each a function of this name; where SoftHSM2
/// does otherwise a mark says what and why: `name softhsm2: departs(…)`.
macro_rules! cases {
    ($($name:ident $(softhsm2: $mark:expr)?),+ $(,)?) => {
        /// The cases of this chapter.
        pub const CASES: &[$crate::common::Case] = &[
            $($crate::common::Case::new(stringify!($name), $name)$(.softhsm2($mark))?,)+
        ];
    };
}

pub(crate) use {cases, ck, ck3, template};
