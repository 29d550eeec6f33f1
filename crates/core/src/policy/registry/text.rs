//! The form of a registry file.

use super::{ACCOUNT, POLICY, VALUES_MAX, Values};

/// The text of a file: UTF-16 with a mark (version 5.00), or UTF-8.
///
/// # Errors
/// It is neither.
pub fn decode(bytes: &[u8]) -> Result<String, String> {
    let wide = |read: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes[2..].as_chunks::<2>();
        let text = char::decode_utf16(pairs.iter().map(|pair| read(*pair))).collect::<Result<String, _>>();
        text.ok().filter(|_| rest.is_empty()).ok_or_else(|| "a damaged UTF-16 file".to_owned())
    };
    match bytes {
        [0xFF, 0xFE, ..] => wide(u16::from_le_bytes),
        [0xFE, 0xFF, ..] => wide(u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8(rest.to_vec()).map_err(|e| e.to_string()),
        _ => String::from_utf8(bytes.to_vec()).map_err(|_| "neither UTF-16 nor UTF-8".to_owned()),
    }
}

/// The settings of the file; `left`: what is none.
pub(super) fn parse(file: &str, left: &mut Vec<String>) -> Result<Values, String> {
    let mut lines = file.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(';'));
    let first = lines.next().unwrap_or_default();
    if !first.starts_with("Windows Registry Editor Version") && first != "REGEDIT4" {
        return Err("not an exported registry file: the first line says so".to_owned());
    }
    let mut values = Values::new();
    let mut key: Option<String> = None;
    for line in lines {
        if values.len() + left.len() >= VALUES_MAX {
            return Err(format!("more than {VALUES_MAX} values"));
        }
        if let Some(path) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            key = below(path);
            if key.is_none() {
                left.push(format!("[{path}]: not a key of the policy"));
            }
            continue;
        }
        let Some(key) = &key else { continue };
        let named = line.strip_prefix('"').and_then(|line| line.split_once('"'));
        let Some((name, value)) = named else {
            left.push(format!("{line:?}: not a value"));
            continue;
        };
        let value = value.trim_start().strip_prefix('=').unwrap_or_default().trim();
        let number = value.strip_prefix("dword:").and_then(|hex| u32::from_str_radix(hex.trim(), 16).ok());
        match number {
            Some(number) => {
                let spelling = name.to_owned();
                values.insert((key.clone(), name.to_lowercase()), (spelling, number));
            }
            None => left.push(format!("{name}: not a number (dword)")),
        }
    }
    Ok(values)
}

/// The part of a key below the policy's, in lower case; `@` for the account's key.
fn below(path: &str) -> Option<String> {
    // Exports of an offline hive or a short form are the same keys.
    let path = path.to_lowercase().replacen("hklm\\", "hkey_local_machine\\", 1);
    if path == ACCOUNT.to_lowercase() {
        return Some("@".to_owned());
    }
    let rest = path.strip_prefix(&POLICY.to_lowercase())?;
    if rest.is_empty() { Some(String::new()) } else { rest.strip_prefix('\\').map(str::to_owned) }
}
