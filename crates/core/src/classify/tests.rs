use super::*;

/// The rule of spec/constants/bits-core.json, then our documented extra rows.
#[test]
fn every_status_has_the_class_of_the_specification() {
    let json: serde_json::Value =
        serde_json::from_str(include_str!("../../../../spec/constants/bits-core.json")).unwrap();
    let http = &json["http"];
    let listed = |key: &str, status: u16| http[key].as_array().unwrap().iter().any(|v| v == status);
    let default = |key: &str| if http[key] == "fatal" { Class::Fatal } else { Class::Transient };
    assert_eq!(http["hresult_base"], "0x80190000");
    for status in 100..=999_u16 {
        let rule = match status / 100 {
            3 if listed("fatal_3xx", status) => Class::Fatal,
            3 => default("default_3xx"),
            4 if listed("transient_4xx", status) => Class::Transient,
            4 => default("default_4xx"),
            5 if listed("fatal_5xx", status) => Class::Fatal,
            5 => default("default_5xx"),
            _ => default("default_other"),
        };
        let expected = match status {
            420 | 425 | 429 | 499 => Class::Transient,
            205 => Class::Fatal,
            _ => rule,
        };
        let (code, class) = http_status(status);
        assert_eq!(class, expected, "{status}");
        assert_eq!(code.bits(), 0x8019_0000 | u32::from(status));
        assert_eq!(hresult(code), class, "{status}");
    }
    for status in 520..=524 {
        assert_eq!(http_class(status), Class::Transient);
    }
}

/// spec/behaviour.md 11.2 and spec/bits-core.md 7.4, row by row.
#[test]
fn every_listed_code_has_its_class() {
    let table: &[(u32, Class)] = &[
        (0x8020_000D, Class::Transient),
        (0x8020_000E, Class::Fatal),
        (0x8020_0010, Class::Transient),
        (0x8020_0011, Class::Fatal),
        (0x8020_0012, Class::Fatal),
        (0x8020_0013, Class::Fatal),
        (0x8020_001B, Class::Fatal),
        (0x8020_001D, Class::Fatal),
        (0x8020_001F, Class::Transient),
        (0x8020_0020, Class::Fatal),
        (0x8020_0022, Class::Fatal),
        (0x8020_0023, Class::Fatal),
        (0x8020_0024, Class::Transient),
        (0x8020_002B, Class::Fatal),
        (0x8020_002D, Class::Transient),
        (0x8020_002E, Class::Transient),
        (0x8020_003E, Class::Transient),
        (0x8020_003F, Class::Fatal),
        (0x8020_0053, Class::Fatal),
        (0x8020_0054, Class::Fatal),
        (0x8020_0056, Class::Fatal),
        (0x8020_0059, Class::Transient),
        (0x8020_0064, Class::Fatal),
        (0x8020_0065, Class::Transient),
        (0x8020_0067, Class::Transient),
        (0x8020_0068, Class::Transient),
        (0x8020_0069, Class::Transient),
        (0x8020_006A, Class::Fatal),
        (0x8020_006D, Class::Fatal),
        (0x8020_006E, Class::Transient),
        (0x8020_006F, Class::Transient),
        (0x8020_0070, Class::Transient),
        (0x8020_0073, Class::Fatal),
        (0x8020_0074, Class::Fatal),
        (0x8007_0002, Class::Fatal),
        (0x8007_0003, Class::Fatal),
        (0x8007_0005, Class::Fatal),
        (0x8007_0070, Class::Fatal),
        (0x8007_0020, Class::Transient),
        (0x8007_03EB, Class::Transient),
        (0x8007_2EE7, Class::Transient),
        (0x8007_2EE2, Class::Transient),
        (0x8007_2EFD, Class::Transient),
        (0x8007_2EFE, Class::Transient),
        (0x8007_2F78, Class::Transient),
        (0x8007_2F7C, Class::Fatal),
        (0x8007_2F0C, Class::Fatal),
        (0x8007_2F0D, Class::Fatal),
        (0x8007_2F05, Class::Fatal),
        (0x8007_2F06, Class::Fatal),
        (0x8007_2F7D, Class::Fatal),
        (0x8007_2F8F, Class::Fatal),
        (0x8007_2F19, Class::Fatal),
        (0x8007_2F8A, Class::Fatal),
        (0x8007_2F93, Class::Fatal),
        (0x8007_0057, Class::Transient),
        (0x8000_4005, Class::Fatal),
    ];
    for &(code, class) in table {
        assert_eq!(hresult(HResult::from_bits(code)), class, "0x{code:08X}");
    }
}
