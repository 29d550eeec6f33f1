use super::*;
use crate::policy::value::Tree;
use crate::policy::{Layer, Origin, Policy};

/// A key of the policy with these values.
fn file(body: &str) -> String {
    format!(
        "Windows Registry Editor Version 5.00\r\n\r\n[{POLICY}]\r\n{}",
        body.trim_start().replace('\n', "\r\n")
    )
}

/// The policy of a file with these keys.
fn policy(keys: &BTreeMap<String, Raw>) -> Policy {
    let mut tree = Tree::new();
    for (name, value) in keys {
        let (mut at, parts) = (&mut tree, name.split('.').collect::<Vec<_>>());
        let (last, groups) = parts.split_last().expect("a name");
        for group in groups {
            let next = at.entry((*group).to_owned()).or_insert_with(|| Raw::Table(Tree::new()));
            let Raw::Table(table) = next else { panic!("{name}") };
            at = table;
        }
        at.insert((*last).to_owned(), value.clone());
    }
    Policy::new(&[Layer { origin: Origin::Administrator, file: "import".into(), tree }]).expect("usable")
}

const CONFIG_MANAGER: &str = r#"
"EnableBitsMaxBandwidth"=dword:00000001
"MaxBandwidthValidFrom"=dword:00000009
"MaxBandwidthValidTo"=dword:00000011
"MaxTransferRateOnSchedule"=dword:000003e8
"MaxTransferRateOffSchedule"=dword:000007d0
"UseSystemMaximum"=dword:00000000
"#;

/// spec/policy.md D: the export of a ConfigMgr client.
#[test]
fn policy_17_a_registry_export_of_a_configmgr_client() {
    let imported = import_reg(&file(CONFIG_MANAGER)).expect("a registry file");
    assert_eq!(imported.unmapped, Vec::<String>::new());
    assert_eq!(
        imported.toml(),
        "[bandwidth.simple]\nenabled = true\nhours = \"09-17\"\noff_rate = 2000\nrate = 1000\n"
    );
    let p = policy(&imported.keys);
    assert_eq!(p.findings(), []);
    assert!(p.bandwidth().simple.is_some());
    // "Disabled" in the console is no limit.
    let off = import_reg(&file("\"EnableBITSMaxBandwidth\"=dword:00000000")).expect("a registry file");
    assert_eq!(policy(&off.keys).bandwidth().simple, None);
}

/// Everything that has a counterpart, in the form and order of an export.
const EVERYTHING: &str = r#"
"DisableBranchCache"=dword:00000001
"DisablePeerCachingClient"=dword:00000000
"DisablePeerCachingServer"=dword:00000001
"EnableBITSMaxBandwidth"=dword:00000001
"EnablePeercaching"=dword:00000001
"JobInactivityTimeout"=dword:0000001e
"MaxBandwidthServed"=dword:00200000
"MaxBandwidthValidFrom"=dword:00000016
"MaxBandwidthValidTo"=dword:00000006
"MaxCacheSize"=dword:0000000a
"MaxContentAge"=dword:0000003c
"MaxDownloadTime"=dword:00093a80
"MaxFilesPerJob"=dword:0000012c
"MaxJobsPerMachine"=dword:000003e8
"MaxJobsPerUser"=dword:00000064
"MaxRangesPerFile"=dword:00000064
"MaxTransferRateOnSchedule"=dword:00000000
"UseSystemMaximum"=dword:00000001

[HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\Windows\BITS\Throttling]
"EnableBandwidthLimits"=dword:00000001
"EnableMaintenanceLimits"=dword:00000001
"IgnoreBandwidthLimitsOnLan"=dword:00000001

[HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\Windows\BITS\Throttling\MaintenanceSchedule]
"EndDay"=dword:00000000
"EndHour"=dword:00000004
"HighBandwidthLimit"=dword:00000100
"HighBandwidthType"=dword:00000001
"StartDay"=dword:00000000
"StartHour"=dword:00000002

[HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\Windows\BITS\Throttling\NonWorkSchedule]
"LowBandwidthLimit"=dword:00000000
"LowBandwidthType"=dword:00000003

[HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\Windows\BITS\Throttling\WorkSchedule]
"EndDay"=dword:00000001
"EndHour"=dword:00000011
"NormalBandwidthLimit"=dword:00000fa0
"NormalBandwidthType"=dword:00000001
"StartDay"=dword:00000005
"StartHour"=dword:00000008

[HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\Windows\BITS\TransferPolicy]
"BITS_TransferPolicyForegroundPriorityValue"=dword:00000001
"BITS_TransferPolicyHighPriorityValue"=dword:00000002
"BITS_TransferPolicyLowPriorityValueCustom"=dword:80000003
"BITS_TransferPolicyNormalPriorityValue"=dword:00000005

[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\BITS]
"UseLMCompat"=dword:00000001
"#;

#[test]
fn what_is_imported_is_exported_again_byte_for_byte() {
    for body in [EVERYTHING, CONFIG_MANAGER] {
        let text = file(body);
        let imported = import_reg(&text).expect("a registry file");
        assert_eq!(imported.unmapped, Vec::<String>::new());
        let p = policy(&imported.keys);
        assert_eq!(
            p.findings().iter().filter(|f| f.about != crate::policy::About::Conflict).count(),
            0,
            "{:?}",
            p.findings()
        );
        let exported = export(&p);
        assert_eq!(exported.unmapped, Vec::<String>::new());
        let sorted = |text: &str| {
            // ConfigMgr spells a name in its own way.
            let text = text.replace("EnableBitsMax", "EnableBITSMax");
            let mut lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&exported.text), sorted(&text));
    }
    assert_eq!(
        policy(&import_reg(&file(EVERYTHING)).expect("usable").keys).text("auth.implicit_credentials"),
        Some("if-strong")
    );
}

#[test]
fn megabits_become_kilobits() {
    let body = format!(
        "\n[{POLICY}\\Throttling\\WorkSchedule]\n\"HighBandwidthLimit\"=dword:4\n\"HighBandwidthType\"=dword:2\n"
    );
    let imported = import_reg(&file(&body)).expect("usable");
    assert_eq!(imported.toml(), "[bandwidth.work]\nhigh = 4000\n");
    let text = export(&policy(&imported.keys)).text;
    assert!(
        text.contains("\"HighBandwidthLimit\"=dword:00000fa0\r\n\"HighBandwidthType\"=dword:00000001"),
        "{text}"
    );
}

#[test]
fn what_has_no_counterpart_is_listed() {
    let body = r#"
"Whatever"=dword:1
"JobInactivityTimeout"="ninety"
"EnablePeercaching"=dword:7
"MaxTransferRateOffSchedule"=dword:9
nonsense
[HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\Windows\BITS\Throttling\WorkSchedule]
"StartDay"=dword:9
"LowBandwidthType"=dword:1
"StartHour"=dword:63
[HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\Windows\BITSX]
"Other"=dword:1
"#;
    let imported = import_reg(&file(body)).expect("a registry file");
    assert_eq!(imported.keys, BTreeMap::new());
    assert_eq!(imported.unmapped.len(), 9, "{:#?}", imported.unmapped);
    for bad in ["", "hello", "[HKEY_LOCAL_MACHINE]"] {
        assert!(import_reg(bad).is_err());
    }
    let many = format!(
        "{}{}",
        file(""),
        (0..=VALUES_MAX).map(|n| format!("\"a{n}\"=dword:1\n")).collect::<String>()
    );
    assert!(import_reg(&many).is_err(), "too many");
    let set = |key: &str, value: Raw| export(&policy(&BTreeMap::from([(key.to_owned(), value)])));
    for (key, value) in [
        ("bandwidth.simple.hours", Raw::Text("08:30-17".into())),
        ("bandwidth.work.days", Raw::List(vec![Raw::Text("mon".into()), Raw::Text("wed".into())])),
        ("timeouts.job_inactivity", Raw::Text("36h".into())),
        ("bandwidth.simple.rate", Raw::Text("unlimited".into())),
        ("scheduler.max_background", Raw::Int(2)),
    ] {
        assert_eq!(set(key, value).unmapped.len(), 1, "{key}");
    }
}

#[test]
fn files_come_in_the_registrys_encoding_or_in_ours() {
    let text = file("\"MaxJobsPerUser\"=dword:5");
    let wide: Vec<u8> = [0xFEFF].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    assert_eq!(decode(&wide), Ok(text.clone()));
    assert_eq!(decode(text.as_bytes()), Ok(text.clone()));
    for bad in [&wide[..wide.len() - 1], &[0xFF, 0xFE, 0x00, 0xD8], &[0xFF, 0x41], &[0xC3]] {
        assert!(decode(bad).is_err());
    }
}

#[test]
fn a_device_managers_values() {
    let json = r#"{"BITS/BandwidthThrottlingStartTime": 9, "BITS/BandwidthThrottlingEndTime": "18",
        "BITS/BandwidthThrottlingTransferRate": 500, "BITS/CostedNetworkBehaviorBackgroundPriority": 5, "BITS/Other": 1}"#;
    let expected = "[bandwidth.simple]\nenabled = true\nhours = \"09-18\"\nrate = 500\n\n[cost]\nnormal = \"unconstrained\"\n";
    let imported = import_mdm(json).expect("JSON");
    assert_eq!((imported.toml().as_str(), imported.unmapped.len()), (expected, 1));
    let item = |name: &str, data: &str| {
        format!(
            "<Item><Target><LocURI>./Device/Vendor/MSFT/Policy/Config/BITS/{name}</LocURI></Target><Data>{data}</Data></Item>"
        )
    };
    let xml = [
        item("BandwidthThrottlingStartTime", "9"),
        item("BandwidthThrottlingEndTime", "18"),
        item("BandwidthThrottlingTransferRate", "500"),
        item("CostedNetworkBehaviorBackgroundPriority", "5"),
        item("CostedNetworkBehaviorForegroundPriority", "9"),
        "<Item><Target><LocURI>./Device/x</LocURI></Target></Item>".to_owned(),
    ]
    .concat();
    let imported = import_mdm(&format!("<SyncML>{xml}</SyncML>")).expect("SyncML");
    assert_eq!((imported.toml().as_str(), imported.unmapped.len()), (expected, 2));
    assert!(import_mdm("hello").is_err() && import_mdm("{").is_err());
}
