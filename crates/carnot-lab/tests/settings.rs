//! Defaults < file < flags, and every slip at its place.

#![allow(clippy::result_large_err)]

mod toy;

use std::path::Path;

use carnot_lab::diagnose::Explain;
use carnot_lab::error::LabError;
use carnot_lab::experiments::question::Question;
use carnot_lab::spec::{Given, ask, command_line, keys, template};
use carnot_report::diagnostic::{Diagnostic, Place};

fn given(network: &str, flags: &[(&str, &str)]) -> Given {
    let flags = flags.iter().map(|(key, text)| (key.to_string(), text.to_string())).collect();
    Given { network: Some(network.into()), flags }
}

fn file(folder: &Path, text: &str) -> String {
    let path = folder.join("net.toml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn error(given: &Given) -> Diagnostic {
    match ask(toy::VERB, given) {
        Ok(question) => panic!("accepted {}", question.spec()),
        Err(error) => error.explain(),
    }
}

fn asked(given: &Given) -> Box<dyn Question> {
    ask(toy::VERB, given).unwrap_or_else(|error| panic!("{:?}", error.explain()))
}

#[test]
fn a_field_is_a_flag_with_its_doc_and_its_default() {
    let keys = keys::keys(toy::VERB);
    let find = |name: &str| keys.iter().find(|key| key.name == name).unwrap();
    let order: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
    assert_eq!(order[..6], ["network", "activation", "residual", "norm", "members", "until"]);
    assert_eq!(find("c_w").flag(), "--c-w");
    assert_eq!(find("c_w").doc, "Rescaled weight variance.");
    assert_eq!(find("members").accepts(), "a whole number of at least 1");
    assert_eq!(find("law").choices(), ["normal", "uniform"]);
    assert_eq!(find("norm").accepts(), "one of layer, rms, or none");
    assert_eq!(find("steps").accepts(), "a list, each a whole number of at least 0");
    assert!(find("until").is_optional && !find("seed").is_optional);
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let text = "experiment = 'toy'\nnetwork = '8-4-2'\nmembers = 3\nseed = 11\nlaw = 'uniform'\nsteps = [5]";
    let question =
        asked(&given(&file(folder.path(), text), &[("seed", "12"), ("c_w", "1e-3"), ("backwards", "true")]));
    let spec = question.spec();
    assert_eq!((&spec["members"], &spec["seed"], &spec["c_w"]), (&3.into(), &12.into(), &0.001.into()));
    assert_eq!((&spec["law"], &spec["backwards"]), (&"uniform".into(), &true.into()));
    assert_eq!(spec["network"]["input"][0], 8);
}

#[test]
fn a_shorthand_a_bare_network_and_a_table_are_one_question() {
    let folder = tempfile::tempdir().unwrap();
    let layers = "input = [8]\nlayers = [{ dense = 4 }, { act = 'relu' }, { dense = 2 }]\n";
    let shorthand = asked(&given("8-4-2", &[]));
    let bare = asked(&given(&file(folder.path(), layers), &[]));
    let table = asked(&given(&file(folder.path(), &format!("seed = 7\n[network]\n{layers}")), &[]));
    assert_eq!(shorthand.spec(), bare.spec());
    assert_eq!(shorthand.spec(), table.spec());
    assert_eq!(shorthand.subject(), "8-4-2, relu");
}

#[test]
fn resolving_twice_changes_nothing() {
    let once = asked(&given(
        "8-4x3-2",
        &[("activation", "z * tanh(softplus(z))"), ("residual", "1"), ("norm", "rms")],
    ));
    let twice = toy::VERB.ask(once.spec().clone()).unwrap();
    assert_eq!(once.spec(), twice.spec());
    assert_eq!(once.subject(), "8-4x3-2, z * tanh(softplus(z)), residual, rms norm");
}

#[test]
fn the_new_file_can_be_read_back_and_asks_what_no_settings_ask() {
    let folder = tempfile::tempdir().unwrap();
    let text = template::toml(toy::VERB);
    for key in keys::keys(toy::VERB) {
        assert!(
            text.contains(&format!("\n{} =", key.name)) || text.contains(&format!("\n# {} =", key.name)),
            "{text}"
        );
    }
    let from_file = asked(&given(&file(folder.path(), &text), &[]));
    assert_eq!(from_file.spec(), asked(&given(template::NETWORK, &[])).spec());
}

#[test]
fn an_unknown_key_is_shown_at_its_place_with_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "network = '8-4-2'\n\n  activaton = 'tanh'\n");
    let error = error(&given(&path, &[]));
    assert_eq!(error.code, "config/unknown-key");
    assert_eq!(error.cause, "did you mean \"activation\"?");
    let Some(Place::File { line, column, length, source, .. }) = error.place else { panic!() };
    assert_eq!((line, column, length, source.as_str()), (3, 3, 9, "  activaton = 'tanh'"));
}

#[test]
fn every_slip_in_a_file_has_a_code_and_a_place() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [
        ("network = '8-4-2'\nmembers = 'many'", "config/wrong-value", 2, 11),
        ("network = '8-4-2'\nmembers = 1.5", "config/wrong-value", 2, 11),
        ("network = '8-4-2'\nmembers = 0", "config/wrong-value", 2, 11),
        ("network = '8-4-2'\nlaw = 'norml'", "config/wrong-value", 2, 7),
        ("network = '8-4-2'\nc_w = nan", "config/wrong-value", 2, 7),
        ("network = '8-4-2'\nseed = 99999999999999999999", "config/wrong-value", 2, 8),
        ("network = '8-4-2'\nseed = 2020-01-01", "config/wrong-value", 2, 8),
        ("network = '8-4-2'\nseed =", "config/toml", 2, 7),
        ("network = '8-4-2'\nseed = 1\nseed = 2", "config/toml", 3, 1),
        ("experiment = 'predict'\nnetwork = '8-4-2'", "config/other-experiment", 1, 14),
        ("seed = 1\n[network]\ninput = [8]\nlayers = [{ dens = 4 }]", "network/unknown-key", 4, 13),
        ("[network]\ninput = [8]", "network/missing-key", 1, 1),
        ("input = [8]\nlayers = [{ act = 'tanhh' }]", "activation/unknown-name", 0, 0),
    ];
    for (text, code, row, at) in rows {
        let error = error(&given(&file(folder.path(), text), &[]));
        assert_eq!(error.code, code, "{text}\n{error:?}");
        assert!(
            !error.problem.is_empty() && !error.cause.is_empty() && !error.remedy.is_empty(),
            "{error:?}"
        );
        if row > 0 {
            let Some(Place::File { line, column, .. }) = &error.place else { panic!("{text}: {error:?}") };
            assert_eq!((*line, *column), (row, at), "{text}");
        }
    }
}

#[test]
fn every_slip_in_a_flag_names_the_flag() {
    let rows = [
        ("members", "ten", "--members"),
        ("members", "-3", "--members"),
        ("c_w", "inf", "--c-w"),
        ("law", "unifrm", "--law"),
        ("backwards", "maybe", "--backwards"),
        ("steps", "1,x", "--steps"),
        ("until", "soon", "--until"),
    ];
    for (key, text, flag) in rows {
        let error = error(&given("8-4-2", &[(key, text)]));
        assert_eq!(error.code, "config/wrong-value", "{error:?}");
        assert_eq!(error.place, Some(Place::Flag { flag: flag.into() }), "{error:?}");
    }
    assert_eq!(error(&given("8-4-2", &[("law", "unifrm")])).cause, "did you mean \"uniform\"?");
}

#[test]
fn numbers_may_be_written_as_people_write_them() {
    let question = asked(&given("8-4-2", &[("members", "1e3"), ("steps", "1, 2,3"), ("until", "none")]));
    assert_eq!(question.spec()["members"], 1000);
    assert_eq!(question.spec()["steps"], serde_json::json!([1, 2, 3]));
    assert!(question.spec()["until"].is_null());
}

#[test]
fn what_is_no_network_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("empty.toml"), " \n").unwrap();
    std::fs::write(path("binary.toml"), [0xff, 0xfe, 0]).unwrap();
    std::fs::write(path("long.toml"), " ".repeat((1 << 20) + 1)).unwrap();
    let rows = [
        ("784-12O-10".to_string(), "network/shorthand"),
        ("784-0-10".into(), "network/shorthand"),
        ("784-1000000000000-10".into(), "network/shorthand"),
        ("784x3-10".into(), "network/shorthand"),
        ("784".into(), "network/not-found"),
        ("resnet9000".into(), "network/not-found"),
        (path("emty.toml"), "network/not-found"),
        (path("empty.toml"), "config/not-settings"),
        (path("binary.toml"), "config/not-settings"),
        (path("long.toml"), "config/not-settings"),
        (folder.path().display().to_string(), "config/not-settings"),
        ("/dev/zero".into(), "config/not-settings"),
        (String::new(), "network/not-found"),
    ];
    for (network, code) in rows {
        assert_eq!(error(&given(&network, &[])).code, code, "{network}");
    }
    assert!(error(&given(&path("emty.toml"), &[])).cause.contains("empty.toml"));
}

#[test]
fn a_formula_error_points_into_the_formula() {
    let error = error(&given("8-4-2", &[("activation", "tanh(z")]));
    assert_eq!(error.code, "formula/syntax");
    let Some(Place::Formula { text, start, .. }) = error.place else { panic!() };
    assert_eq!((text.as_str(), start), ("tanh(z", 6));
}

#[test]
fn settings_of_shorthands_do_not_apply_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "input = [8]\nlayers = [{ dense = 2 }]");
    assert_eq!(error(&given(&path, &[("activation", "tanh")])).code, "config/shorthand-only");
}

#[test]
fn no_network_at_all_says_what_to_type() {
    let Err(error) = ask(toy::VERB, &Given::default()) else { panic!() };
    let LabError::MissingKey { key: "network", verb: "toy" } = error else { panic!("{error}") };
}

#[test]
fn the_command_line_can_be_pasted() {
    let given = given("8-4-2", &[("c_w", "2"), ("activation", "z * tanh(z)")]);
    assert_eq!(command_line("toy", &given), "carnot toy 8-4-2 --c-w 2 --activation 'z * tanh(z)'");
}
