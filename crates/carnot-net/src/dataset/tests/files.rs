//! Names, paths, directories, and other things that are no data.

use super::{Folder, open_raw};
use crate::dataset::DataError;

#[test]
fn a_misspelt_name_points_at_the_nearest() {
    for (wanted, expect) in
        [("digts", "digits"), ("Mixture", "mixture"), ("fasion", "fashion"), ("mnist-1d", "mnist1d")]
    {
        match open_raw(wanted) {
            Err(DataError::UnknownName { nearest, .. }) => assert_eq!(nearest.as_deref(), Some(expect)),
            other => panic!("{wanted}: {other:?}"),
        }
    }
    match open_raw("hippopotamus") {
        Err(DataError::UnknownName { nearest: None, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_missing_file_points_at_the_nearest_beside_it() {
    let folder = Folder::new();
    folder.write("train.csv", "1,2\n");
    match open_raw(&folder.path("trian.csv").display().to_string()) {
        Err(DataError::Missing { nearest, .. }) => assert_eq!(nearest.as_deref(), Some("train.csv")),
        other => panic!("{other:?}"),
    }
    match open_raw(&folder.path("no/such/place.csv").display().to_string()) {
        Err(DataError::Missing { nearest: None, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_data_file_is_refused() {
    let folder = Folder::new();
    let check = |path: &str, matches: fn(&DataError) -> bool| {
        let error = open_raw(path).unwrap_err();
        assert!(matches(&error), "{error:?}");
    };
    let directory = folder.0.path().display().to_string();
    check(&directory, |error| matches!(error, DataError::DirectoryWithoutData { .. }));
    check("", |error| matches!(error, DataError::UnknownName { nearest: None, .. }));
    check("a\0b.csv", |error| matches!(error, DataError::Missing { .. }));
    if cfg!(unix) {
        check("/dev/zero", |error| matches!(error, DataError::NotAFile { .. }));
    }
    for (name, bytes) in [
        ("model.pt", &b"PK\x03\x04\x00\x00archive/data.pkl"[..]),
        ("page", b"<html>1</html>"),
        ("notes", b"{\"a\": 1}"),
        ("image", b"\x89PNG\r\n\x1a\n\x00\x00"),
        ("words", b"no numbers at all\n"),
    ] {
        check(&folder.write(name, bytes), |error| matches!(error, DataError::UnknownFormat { .. }));
    }
    check(&folder.write("nothing", b""), |error| matches!(error, DataError::Empty { .. }));
}
