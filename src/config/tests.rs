use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

/// An environment of the test's own making.
#[derive(Default)]
struct Machine {
    variables: HashMap<&'static str, OsString>,
    files: HashMap<PathBuf, io::Result<Vec<u8>>>,
    home: Option<PathBuf>,
    root: bool,
}

impl Machine {
    fn new() -> Self {
        Self { home: Some("/home/ann".into()), ..Self::default() }
    }

    fn var(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.variables.insert(name, value.into());
        self
    }

    fn file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), Ok(content.into()));
        self
    }

    fn failing(mut self, path: &str, kind: io::ErrorKind) -> Self {
        self.files.insert(path.into(), Err(kind.into()));
        self
    }

    /// With a file that `SIGNET_CONF` names.
    fn conf(content: impl Into<Vec<u8>>) -> Self {
        Self::new().var("SIGNET_CONF", "/conf").file("/conf", content)
    }

    fn load(&self) -> Result<Config> {
        Config::load(self)
    }

    fn refusal(&self) -> String {
        match self.load() {
            Err(Error::Configuration(why)) => why,
            other => panic!("not refused: {other:?}"),
        }
    }

    fn notices(&self) -> Vec<(Level, String)> {
        let notices = self.load().unwrap().notices;
        notices.into_iter().map(|notice| (notice.level, notice.text)).collect()
    }
}

impl Environment for Machine {
    fn var(&self, name: &str) -> Option<OsString> {
        self.variables.get(name).cloned()
    }

    fn read_file(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        match self.files.get(path) {
            Some(Ok(content)) => Ok(content[..content.len().min(limit)].to_vec()),
            Some(Err(error)) => Err(error.kind().into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn home(&self) -> Option<PathBuf> {
        self.home.clone()
    }

    fn is_root(&self) -> bool {
        self.root
    }

    fn current_dir(&self) -> io::Result<PathBuf> {
        Ok("/here".into())
    }
}

const WARNING: Level = Level::Warning;

#[test]
fn without_file_and_variables_the_defaults_serve() {
    let config = Machine::new().load().unwrap();
    assert_eq!(config.token_dir, Path::new("/home/ann/.local/share/signet/tokens"));
    assert_eq!(config.umask, 0o077);
    assert_eq!(config.log_level, Some(WARNING));
    assert_eq!(config.log_target, LogTarget::Stderr);
    assert!(!config.slots_removable);
    assert_eq!(config.mechanisms, Mechanisms::All);
    assert_eq!(config.reset_on_fork, None);
    assert_eq!(config.max_pin_attempts, 10);
    assert!(!config.pin_counter_required);
    assert_eq!(config.argon2, PinParameters { memory_kib: 19_456, iterations: 2, lanes: 1 });
    assert_eq!(config.busy_timeout, Duration::from_secs(30));
    assert!(config.auto_init.is_none());
    assert!(config.notices.is_empty());
}

#[test]
fn the_default_token_directory_depends_on_the_user() {
    let root = Machine { root: true, ..Machine::new() };
    assert_eq!(root.load().unwrap().token_dir, Path::new("/var/lib/signet/tokens"));
    let xdg = Machine::new().var("XDG_DATA_HOME", "/data");
    assert_eq!(xdg.load().unwrap().token_dir, Path::new("/data/signet/tokens"));
    let relative = Machine::new().var("XDG_DATA_HOME", "data");
    assert_eq!(
        relative.load().unwrap().token_dir,
        Path::new("/home/ann/.local/share/signet/tokens")
    );
    let homeless = Machine { home: None, ..Machine::new() };
    assert!(homeless.refusal().starts_with("SIGNET_TOKENDIR: "));
    let told = Machine { home: None, ..Machine::new() }.var("SIGNET_TOKENDIR", "/t");
    assert_eq!(told.load().unwrap().token_dir, Path::new("/t"));
}

#[test]
fn the_first_file_in_the_order_is_the_only_one_read() {
    let tokendir = |name: &str| format!("directories.tokendir = /{name}");
    let sources = [
        ("SIGNET_CONF", "/one"),
        ("SOFTHSM2_CONF", "/two"),
        ("", "/home/ann/.config/signet/signet.conf"),
        ("", "/etc/signet/signet.conf"),
    ];
    for first in 0..sources.len() {
        let mut machine = Machine::new();
        for (name, path) in &sources[first..] {
            machine = machine.file(path, tokendir(path));
            if !name.is_empty() {
                machine = machine.var(name, *path);
            }
        }
        let expected = format!("/{}", sources[first].1);
        assert_eq!(machine.load().unwrap().token_dir, Path::new(&expected));
    }
    let xdg = Machine::new().var("XDG_CONFIG_HOME", "/xdg");
    let xdg = xdg.file("/xdg/signet/signet.conf", tokendir("x")).file(sources[2].1, tokendir("no"));
    assert_eq!(xdg.load().unwrap().token_dir, Path::new("/x"));
}

#[test]
fn an_empty_variable_is_not_set() {
    let machine = Machine::new().var("SIGNET_CONF", "").var("SIGNET_LOG_LEVEL", "");
    let machine = machine.var("SOFTHSM2_CONF", "/two").file("/two", "log.level = DEBUG");
    assert_eq!(machine.load().unwrap().log_level, Some(Level::Debug));
}

#[test]
fn a_named_file_must_be_readable() {
    let named = |name| Machine::new().var(name, "/conf");
    assert!(named("SIGNET_CONF").refusal().starts_with("SIGNET_CONF: /conf: "));
    let denied = named("SOFTHSM2_CONF").failing("/conf", io::ErrorKind::PermissionDenied);
    assert!(denied.refusal().starts_with("SOFTHSM2_CONF: /conf: permission denied"));
    let directory = named("SIGNET_CONF").failing("/conf", io::ErrorKind::IsADirectory);
    assert!(directory.refusal().contains("/conf: is a directory"));
}

#[test]
fn a_file_that_is_only_looked_for_may_be_absent_or_forbidden() {
    let user_file = "/home/ann/.config/signet/signet.conf";
    let forbidden = Machine::new().failing(user_file, io::ErrorKind::PermissionDenied);
    let notices = forbidden.notices();
    assert!(notices[0].1.starts_with(user_file) && notices.len() == 1, "{notices:?}");
    let directory = Machine::new().failing(user_file, io::ErrorKind::IsADirectory);
    assert!(directory.refusal().starts_with(user_file));
}

#[test]
fn huge_and_garbled_files_are_refused() {
    let huge = Machine::conf(vec![b'\n'; MAX_FILE_LEN + 1]);
    assert_eq!(huge.refusal(), "/conf: larger than 1048576 bytes");
    assert!(Machine::conf(vec![b'\n'; MAX_FILE_LEN]).load().is_ok());
    let garbled = Machine::conf(b"# fine\n# \xff\n".to_vec());
    assert_eq!(garbled.refusal(), "/conf:2: is not UTF-8");
}

#[test]
fn lines_are_read_as_softhsm_reads_them() {
    let machine = Machine::conf(
        "\u{feff}# a comment\r\n\
         \t directories.tokendir\t=  /tokens # where they are\r\n\
         \x20  \n\
         objectstore.backend=file\n\
         objectstore.umask = 0077\n\
         log.level = DEBUG\rlost\n\
         slots.removable = TRUE\n\
         slots.mechanisms = CKM_SHA256, CKM_SHA256_HMAC",
    );
    let config = machine.load().unwrap();
    assert_eq!(config.token_dir, Path::new("/tokens"));
    assert_eq!(config.umask, 0o077);
    assert_eq!(config.log_level, Some(Level::Debug));
    assert!(config.slots_removable);
    let listed = vec![MechanismType::Sha256, MechanismType::Sha256Hmac];
    assert_eq!(config.mechanisms, Mechanisms::Only(listed));
    assert_eq!(config.notices, []);
}

#[test]
fn a_value_reaches_to_the_end_of_its_line() {
    let config = Machine::conf("directories.tokendir = /a = b/c").load().unwrap();
    assert_eq!(config.token_dir, Path::new("/a = b/c"));
}

#[test]
fn odd_lines_are_noted_with_their_number_and_without_their_values() {
    let machine = Machine::conf(
        "user.pin = 12345678\n\
         12345678\n\
         = 12345678\n\
         log.level =\n\
         LOG.LEVEL = 12345678\n\
         slots.removable = false\n\
         slots.removable = true\n",
    );
    assert_eq!(
        machine.notices(),
        [
            "/conf:1: unknown key \"user.pin\": passed over",
            "/conf:2: not of the form \"key = value\": passed over",
            "/conf:3: no key before \"=\": passed over",
            "/conf:4: log.level: no value: passed over",
            "/conf:5: unknown key \"LOG.LEVEL\": passed over",
            "/conf:7: slots.removable: counts instead of the value in line 6",
        ]
        .map(|text| (WARNING, text.to_owned()))
    );
    assert!(machine.load().unwrap().slots_removable);
}

#[test]
fn a_file_full_of_odd_lines_does_not_flood_the_log() {
    let notices = Machine::conf("what\n".repeat(1000)).notices();
    assert_eq!(notices.len(), 51);
    assert_eq!(notices[50].1, "/conf: 950 more lines were passed over");
}

#[test]
fn a_bad_value_is_refused_with_its_place() {
    for (line, expected) in [
        ("log.level = LOUD", "\"LOUD\" is none of"),
        ("objectstore.backend = sqlite", "neither \"file\" nor \"db\""),
        ("objectstore.umask = 0o77", "octal"),
        ("objectstore.umask = 0177", "octal"),
        ("objectstore.umask = 8", "octal"),
        ("slots.removable = yes", "neither true nor false"),
        ("slots.mechanisms = -", "a name is missing"),
        ("slots.mechanisms = CKM_SHA256,,CKM_SHA384", "a name is missing"),
        ("slots.mechanisms = CKM_SHA256,-CKM_SHA384", "minus"),
        ("library.reset_on_fork = 1", "neither true nor false"),
        ("cache.objects = 0", "from 1 to 1000000"),
        ("cache.objects = 1000001", "from 1 to 1000000"),
        ("pin.max_attempts = 2", "from 3 to 100"),
        ("pin.max_attempts = 101", "from 3 to 100"),
        ("pin.max_attempts = +5", "from 3 to 100"),
        ("pin.max_attempts = 99999999999999999999", "from 3 to 100"),
        ("pin.require_counter = maybe", "neither true nor false"),
        ("pin.argon2_memory_kib = 4194305", "from 7168 to 4194304"),
        ("pin.argon2_iterations = 0", "from 1 to 100"),
        ("pin.argon2_lanes = 65", "from 1 to 64"),
        ("store.busy_timeout = 0", "from 1 to 3600"),
        ("store.busy_timeout = 3601", "from 1 to 3600"),
        ("kms.account = 12345678901", "12 digits"),
        ("kms.region = here", "region's name"),
        ("audit.mac = some", "none of \"each\", \"summary\", \"off\""),
        ("audit.required = yes", "neither true nor false"),
        ("audit.retention = 0d", "from \"1d\" to"),
        ("audit.retention = 1023K", "at least \"1M\""),
        ("audit.segment_size = 63K", "from 65536 to 1073741824"),
        ("audit.segment_size = 2G", "from 65536 to 1073741824"),
        ("audit.segment_size = M", "from 65536 to 1073741824"),
        ("auto_init.label = 123456789012345678901234567890123", "1 to 32 bytes"),
        ("auto_init.label = a\tb", "control"),
        ("auto_init.so_pin_file = /no/such", "/no/such: entity not found"),
        ("directories.tokendir = /a\tb", "control"),
        ("log.file = /a\u{b}b", "control"),
    ] {
        let why = Machine::conf(format!("\n{line}")).refusal();
        let key = line.split_once(' ').unwrap().0;
        assert!(why.starts_with(&format!("/conf:2: {key}: ")), "{line:?}: {why}");
        assert!(why.contains(expected), "{line:?}: {why}");
    }
}

#[test]
fn every_variable_wins_over_its_key() {
    let file = "directories.tokendir = /file\nobjectstore.backend = file\n\
                objectstore.umask = 077\nlog.level = error\nlog.file = /file.log\n\
                slots.removable = false\nslots.mechanisms = ALL\n\
                library.reset_on_fork = true\npin.max_attempts = 5\n\
                pin.require_counter = false\npin.argon2_memory_kib = 20000\n\
                pin.argon2_iterations = 3\npin.argon2_lanes = 2\n\
                cache.objects = 7\n\
                kms.account = 111122223333\nkms.region = eu-west-1\n\
                store.busy_timeout = 5\naudit.mac = each\naudit.required = false\n\
                audit.retention = 90d\naudit.segment_size = 100000\nauto_init.label = file\nauto_init.so_pin_file = /pin\n\
                auto_init.user_pin_file = /pin\n";
    let machine = Machine::conf(file)
        .file("/pin", "from file\n")
        .file("/so", "so from variable\r\n")
        .var("SIGNET_TOKENDIR", "variable")
        .var("SIGNET_OBJECTSTORE_BACKEND", "db")
        .var("SIGNET_OBJECTSTORE_UMASK", "007")
        .var("SIGNET_LOG_LEVEL", " off ")
        .var("SIGNET_LOG_FILE", "variable.log")
        .var("SIGNET_SLOTS_REMOVABLE", "true")
        .var("SIGNET_SLOTS_MECHANISMS", "-CKM_SHA_1,CKM_SHA_1_HMAC")
        .var("SIGNET_LIBRARY_RESET_ON_FORK", "false")
        .var("SIGNET_PIN_MAX_ATTEMPTS", "100")
        .var("SIGNET_PIN_REQUIRE_COUNTER", "true")
        .var("SIGNET_PIN_ARGON2_MEMORY_KIB", "65536")
        .var("SIGNET_PIN_ARGON2_ITERATIONS", "4")
        .var("SIGNET_PIN_ARGON2_LANES", "8")
        .var("SIGNET_CACHE_OBJECTS", "1000000")
        .var("SIGNET_KMS_ACCOUNT", "444455556666")
        .var("SIGNET_KMS_REGION", "ap-south-1")
        .var("SIGNET_STORE_BUSY_TIMEOUT", "3600")
        .var("SIGNET_AUDIT_MAC", "OFF")
        .var("SIGNET_AUDIT_REQUIRED", "true")
        .var("SIGNET_AUDIT_RETENTION", "2G")
        .var("SIGNET_AUDIT_SEGMENT_SIZE", "1M")
        .var("SIGNET_AUTO_INIT_LABEL", "variable")
        .var("SIGNET_AUTO_INIT_SO_PIN_FILE", "/so")
        .var("SIGNET_AUTO_INIT_USER_PIN", "user from variable");
    let config = machine.load().unwrap();
    assert_eq!(config.token_dir, Path::new("/here/variable"));
    assert_eq!(config.umask, 0o007);
    assert_eq!(config.log_level, None);
    assert_eq!(config.log_target, LogTarget::File("/here/variable.log".into()));
    assert!(config.slots_removable);
    let without = vec![MechanismType::Sha1, MechanismType::Sha1Hmac];
    assert_eq!(config.mechanisms, Mechanisms::AllBut(without));
    assert_eq!(config.reset_on_fork, Some(false));
    assert_eq!(config.max_pin_attempts, 100);
    assert!(config.pin_counter_required);
    assert_eq!(config.argon2, PinParameters { memory_kib: 65_536, iterations: 4, lanes: 8 });
    assert_eq!(config.cache_objects, 1_000_000);
    assert_eq!(config.busy_timeout, Duration::from_secs(3600));
    assert_eq!(config.home.account.as_str(), "444455556666");
    assert_eq!(config.home.region.as_str(), "ap-south-1");
    let audit = audit::Settings {
        mac: audit::MacMode::Off,
        required: true,
        retention: Some(audit::Retention::Bytes(2 << 30)),
        segment_size: 1 << 20,
    };
    assert_eq!(config.audit, audit);
    let auto_init = config.auto_init.unwrap();
    assert_eq!(auto_init.label, "variable");
    assert_eq!(auto_init.so_pin.expose(), b"so from variable");
    assert_eq!(auto_init.user_pin.expose(), b"user from variable");
    let from_file = Machine::conf(file).file("/pin", "from file\n").load().unwrap();
    assert_eq!(from_file.cache_objects, 7);
    assert_eq!(from_file.audit.mac, audit::MacMode::Each);
    assert_eq!(from_file.audit.retention, Some(audit::Retention::Days(90)));
    assert_eq!(from_file.audit.segment_size, 100_000);
    let auto_init = from_file.auto_init.unwrap();
    assert_eq!(auto_init.label, "file");
    assert_eq!(auto_init.user_pin.expose(), b"from file");
    assert_eq!(from_file.log_target, LogTarget::File("/file.log".into()));
}

#[test]
fn a_variable_repairs_a_bad_file() {
    let machine = Machine::conf("log.level = LOUD").var("SIGNET_LOG_LEVEL", "INFO");
    assert_eq!(machine.load().unwrap().log_level, Some(Level::Info));
}

#[test]
fn a_bad_variable_is_named() {
    let machine = Machine::new().var("SIGNET_LOG_LEVEL", "LOUD");
    assert!(machine.refusal().starts_with("SIGNET_LOG_LEVEL: \"LOUD\" is none of"));
    let garbled = <OsString as std::os::unix::ffi::OsStringExt>::from_vec(vec![0xff]);
    let machine = Machine::new().var("SIGNET_SLOTS_REMOVABLE", garbled.clone());
    assert_eq!(machine.refusal(), "SIGNET_SLOTS_REMOVABLE: is not UTF-8");
    let machine = Machine::new().var("SIGNET_TOKENDIR", garbled.clone());
    assert_eq!(machine.load().unwrap().token_dir, Path::new("/here").join(garbled));
}

#[test]
fn settings_follow_one_rule_of_naming() {
    for setting in SETTINGS {
        let by_rule = format!("SIGNET_{}", setting.key.to_uppercase().replace('.', "_"));
        let expected = if *setting == TOKEN_DIR { "SIGNET_TOKENDIR" } else { &by_rule };
        assert_eq!(setting.variable, expected);
    }
    assert_eq!(SO_PIN_FILE.variable, format!("{SO_PIN_VARIABLE}_FILE"));
    assert_eq!(USER_PIN_FILE.variable, format!("{USER_PIN_VARIABLE}_FILE"));
    assert_eq!(LABEL_FILE.variable, format!("{}_FILE", LABEL.variable));
}

#[test]
fn mechanisms_can_be_listed_left_out_or_all() {
    let config = |list: &str| Machine::new().var("SIGNET_SLOTS_MECHANISMS", list).load().unwrap();
    let offered = |list: &str, mechanism| config(list).mechanisms.offers(mechanism);
    assert!(offered("ALL", MechanismType::Sha1));
    assert!(offered("CKM_SHA_1", MechanismType::Sha1));
    assert!(!offered("CKM_SHA_1", MechanismType::Sha1Hmac));
    assert!(!offered("-CKM_SHA_1", MechanismType::Sha1));
    assert!(offered("-CKM_SHA_1", MechanismType::Sha1Hmac));
    let foreign = config("CKM_RSA_PKCS,CKM_SHA_1");
    assert_eq!(foreign.mechanisms, Mechanisms::Only(vec![MechanismType::Sha1]));
    let text = "SIGNET_SLOTS_MECHANISMS: the module has no mechanism \"CKM_RSA_PKCS\": passed over";
    assert_eq!(foreign.notices, [Notice { level: WARNING, text: text.into() }]);
}

#[test]
fn settings_without_the_expected_effect_are_noted() {
    let fork = Machine::conf("library.reset_on_fork = false").notices();
    assert_eq!(fork[0].0, Level::Info);
    assert!(fork[0].1.starts_with("/conf:1: library.reset_on_fork: has no effect"));
    assert_eq!(Machine::conf("library.reset_on_fork = true").notices(), []);
    let open = Machine::new().var("SIGNET_OBJECTSTORE_UMASK", "22").notices();
    assert_eq!(open[0].0, WARNING);
    assert!(open[0].1.starts_with("SIGNET_OBJECTSTORE_UMASK: has no effect"));
    assert_eq!(Machine::conf("objectstore.umask = 0077").notices(), []);
}

#[test]
fn argon2_may_cost_more_within_reason_but_not_less_than_the_floor() {
    let cost = |memory: u32, passes: u32| {
        Machine::new()
            .var("SIGNET_PIN_ARGON2_MEMORY_KIB", memory.to_string())
            .var("SIGNET_PIN_ARGON2_ITERATIONS", passes.to_string())
    };
    for (memory, passes) in PinParameters::FLOORS {
        assert!(cost(memory, passes).load().is_ok());
        assert!(cost(memory + 1, passes).load().is_ok());
        if passes > 1 {
            assert!(cost(memory, passes - 1).load().is_err(), "{memory} {passes}");
        }
        assert!(cost(memory - 1, passes).load().is_err(), "{memory} {passes}");
    }
    assert!(cost(4_194_304, 4).load().is_ok());
    assert!(cost(167_772, 100).load().is_ok());
    for (memory, passes) in [(4_194_304, 5), (167_773, 100)] {
        let why = cost(memory, passes).refusal();
        assert!(
            why.contains(&format!("{memory} KiB x {passes} passes is more work than")),
            "{why}"
        );
    }
    let why = Machine::conf("pin.argon2_memory_kib = 7168").refusal();
    assert!(why.starts_with("/conf:1: pin.argon2_memory_kib: 7168 KiB x 2 passes is weaker"));
}

#[test]
fn auto_init_needs_its_three_parts_and_reads_pins_from_files() {
    let label = || Machine::new().var("SIGNET_AUTO_INIT_LABEL", "first");
    assert!(
        label()
            .refusal()
            .starts_with("SIGNET_AUTO_INIT_SO_PIN and SIGNET_AUTO_INIT_USER_PIN: is missing")
    );
    let pins = || {
        Machine::new()
            .file("/run/so", "sopin")
            .file("/run/user", "userpin\n\n")
            .file("/run/label", "from file\n")
            .var("SIGNET_AUTO_INIT_SO_PIN_FILE", "/run/so")
            .var("SIGNET_AUTO_INIT_USER_PIN_FILE", "/run/user")
    };
    assert!(pins().refusal().starts_with("SIGNET_AUTO_INIT_LABEL: is missing"));
    let labelled = pins().var("SIGNET_AUTO_INIT_LABEL_FILE", "/run/label");
    let auto_init = labelled.load().unwrap().auto_init.unwrap();
    assert_eq!(auto_init.label, "from file");
    assert_eq!(auto_init.so_pin.expose(), b"sopin");
    assert_eq!(auto_init.user_pin.expose(), b"userpin\n", "one line end is the file's");
    let twice = labelled.var("SIGNET_AUTO_INIT_LABEL", "first");
    assert_eq!(
        twice.refusal(),
        "SIGNET_AUTO_INIT_LABEL: set together with SIGNET_AUTO_INIT_LABEL_FILE"
    );
}

#[test]
fn the_variables_label_file_wins_over_the_files_label() {
    let machine = Machine::conf("auto_init.label = file")
        .file("/run/label", "variable")
        .var("SIGNET_AUTO_INIT_LABEL_FILE", "/run/label")
        .var("SIGNET_AUTO_INIT_SO_PIN", "sopin")
        .var("SIGNET_AUTO_INIT_USER_PIN", "userpin");
    assert_eq!(machine.load().unwrap().auto_init.unwrap().label, "variable");
}

#[test]
fn pins_are_in_no_refusal_and_no_debug_text() {
    let machine = |so: &str| {
        Machine::new()
            .var("SIGNET_AUTO_INIT_LABEL", "first")
            .var("SIGNET_AUTO_INIT_SO_PIN", so)
            .var("SIGNET_AUTO_INIT_USER_PIN", "hunter22")
    };
    let short = machine("zap").refusal();
    assert_eq!(short, "SIGNET_AUTO_INIT_SO_PIN: a PIN has 4 to 255 bytes");
    let long = "zap".repeat(100);
    assert!(!machine(&long).refusal().contains("zap"));
    let debug = format!("{:?}", machine("zapzap").load().unwrap());
    assert!(!debug.contains("zapzap") && !debug.contains("hunter22"), "{debug}");
    let huge = Machine::conf("auto_init.so_pin_file = /pin").file("/pin", vec![b'1'; 5000]);
    assert_eq!(huge.refusal(), "/conf:1: auto_init.so_pin_file: /pin: longer than 4096 bytes");
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_refused(content in prop::collection::vec(any::<u8>(), 0..2000)) {
        let _ = Machine::conf(content).load();
    }

    #[test]
    fn any_text_for_any_key_is_parsed_or_refused(
        lines in prop::collection::vec((0..SETTINGS.len(), "\\PC{0,40}|[-,A-Z0-9_]{0,20}"), 0..10),
    ) {
        let text: String =
            lines.iter().map(|(key, value)| format!("{} = {value}\n", SETTINGS[*key].key)).collect();
        match Machine::conf(text).load() {
            Ok(config) => {
                prop_assert!(config.token_dir.is_absolute());
                prop_assert!((3..=100).contains(&config.max_pin_attempts));
                prop_assert!(config.argon2.checked().is_ok());
            }
            Err(Error::Configuration(why)) => {
                prop_assert!(why.starts_with("/conf:") || why.starts_with("SIGNET_AUTO_INIT_"));
            }
            Err(other) => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn any_variable_is_parsed_or_refused_by_name(key in 0..SETTINGS.len(), value in "\\PC{1,40}") {
        let name = SETTINGS[key].variable;
        if let Err(Error::Configuration(why)) = Machine::new().var(name, &value).load() {
            prop_assert!(why.starts_with("SIGNET_"), "{why}");
        }
    }
}
