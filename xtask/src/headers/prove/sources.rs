//! The programs that look: one in C++, one in C.

use crate::generate::constants;
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

const CPP_HEAD: &str = include_str!("head.cpp");
const C_HEAD: &str = include_str!("head.c");
/// Types of the platform's own headers that programs and library share (VARIANT, SAFEARRAY, IStream), in the form of the tables of
/// the specification, which only name them.
const PLATFORM: &str = include_str!("platform.json");

struct Tables {
    core: Value,
    extended: Value,
    qmgr: Value,
    delivery: Value,
    platform: Value,
}

impl Tables {
    fn read() -> Result<Tables> {
        Ok(Tables {
            core: constants("bits-core.json")?,
            extended: constants("bits-extended.json")?,
            qmgr: constants("qmgr.json")?,
            delivery: constants("deliveryoptimization.json")?,
            platform: serde_json::from_str(PLATFORM).context("platform.json")?,
        })
    }

    fn all(&self) -> [&Value; 5] {
        [&self.core, &self.extended, &self.qmgr, &self.delivery, &self.platform]
    }
}

fn each<'a>(table: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    table[key].as_array().into_iter().flatten()
}

fn word<'a>(item: &'a Value, key: &str) -> &'a str {
    item[key].as_str().unwrap_or_default()
}

/// `BOOL (INT32)` is a BOOL.
fn without_remark(kind: &str) -> &str {
    kind.split_once('(').map_or(kind, |(before, _)| before).trim()
}

/// As a parameter's type: an array is a pointer, `byte` is BYTE.
fn parameter(kind: &str) -> String {
    let kind = without_remark(kind);
    let kind = kind.strip_suffix("[]").map_or_else(|| kind.to_owned(), |base| format!("{base} *"));
    if kind.starts_with("byte") { kind.replacen("byte", "BYTE", 1) } else { kind }
}

/// Fields of a structure as (name, type).
fn fields(item: &Value) -> Vec<(String, String)> {
    each(item, "fields")
        .map(|field| match field {
            Value::Array(pair) => (&pair[0], &pair[1]),
            other => (&other["name"], &other["type"]),
        })
        .map(|(name, kind)| {
            (name.as_str().unwrap_or_default().to_owned(), kind.as_str().unwrap_or_default().to_owned())
        })
        .collect()
}

/// Size and alignment of a field's type on a 64-bit platform.
fn measure(kind: &str) -> (u64, u64) {
    let kind = without_remark(kind);
    if kind.ends_with('*') || kind.starts_with("LP") || ["BSTR", "PVOID"].contains(&kind) {
        return (8, 8);
    }
    match kind {
        "UINT64" | "LONGLONG" | "ULONGLONG" | "ULARGE_INTEGER" | "DATE" | "double" => (8, 8),
        "GUID" | "CLSID" => (16, 4),
        "FILETIME" | "SAFEARRAYBOUND[1]" => (8, 4),
        "USHORT" | "SHORT" | "WORD" | "VARTYPE" | "VARIANT_BOOL" => (2, 2),
        "BYTE" | "CHAR" => (1, 1),
        "BG_BASIC_CREDENTIALS" | "BG_AUTH_CREDENTIALS_UNION" => (16, 8),
        _ if kind.starts_with("DO_DOWNLOAD_RANGE[1]") => (16, 8),
        // DWORD, UINT, ULONG, BOOL, HRESULT and every enumeration.
        _ => (4, 4),
    }
}

/// Offsets of the fields, size and alignment, by the rules of C.
fn layout(item: &Value) -> (Vec<u64>, u64, u64) {
    let is_union = item["kind"] == "union" || item.get("discriminant").is_some();
    let (mut at, mut size, mut most) = (0u64, 0u64, 1u64);
    let mut offsets = Vec::new();
    for (_, kind) in fields(item) {
        let (bytes, align) = measure(&kind);
        most = most.max(align);
        if is_union {
            offsets.push(0);
            size = size.max(bytes);
        } else {
            at = at.next_multiple_of(align);
            offsets.push(at);
            at += bytes;
            size = at;
        }
    }
    (offsets, size.next_multiple_of(most), most)
}

/// Size as the table says it, where it does.
fn stated_size(item: &Value) -> Option<u64> {
    if item["size"] == "pointer" {
        return Some(8);
    }
    item["size_x64"].as_u64().or(item["size"].as_u64()).or(item["size_align"]["x64"][0].as_u64())
}

/// What every name is worth: constants, flags, enumerators and codes, as `(expression, unsigned 32 bits)`.
fn values(tables: &Tables) -> Result<Vec<(String, u32)>> {
    let mut values = Vec::new();
    let mut lists: Vec<&Value> = Vec::new();
    for table in tables.all() {
        lists.extend(each(table, "enums"));
        lists.extend(each(table, "flag_sets"));
    }
    lists.extend(tables.qmgr["constants"].as_object().context("constants of qmgr")?.values());
    let mut members: Vec<&Value> = lists.into_iter().flat_map(|list| each(list, "values")).collect();
    members.extend(tables.delivery["flags"]["BG_NOTIFY"].as_array().context("flags")?);
    for member in members {
        let name = word(member, "name");
        if name.starts_with('(') {
            continue;
        }
        // The one without a number is 0: delivery-optimization-com.md, open question 5.
        let value = member["value"].as_i64().unwrap_or(0);
        values.push((name.to_owned(), u32::try_from(value & 0xFFFF_FFFF)?));
    }
    for table in tables.all() {
        for code in each(table, "hresults") {
            let name = word(code, "name");
            let is_system =
                name.starts_with("ERROR_") || name.starts_with("RPC_X_") || name.starts_with("RPC_S_");
            let expression = if is_system { format!("HRESULT_FROM_WIN32({name})") } else { name.to_owned() };
            let hex = word(code, "hex").trim_start_matches("0x");
            values.push((expression, u32::from_str_radix(hex, 16)?));
        }
    }
    let by_name: BTreeMap<String, u32> = values.iter().cloned().collect();
    for (alias, target) in tables.core["hresult_aliases"].as_object().context("aliases")? {
        let target = target.as_str().and_then(|target| by_name.get(target)).context("an alias of nothing")?;
        values.push((alias.clone(), *target));
    }
    for constant in tables.all().iter().flat_map(|table| each(table, "constants")) {
        let number = match constant["type"].as_str() {
            Some("int") => constant["value"]
                .as_u64()
                .or_else(|| constant["value"].as_str().and_then(|text| text.parse().ok())),
            Some("uint") => u64::from_str_radix(word(constant, "hex").trim_start_matches("0x"), 16).ok(),
            _ => continue,
        };
        values.push((word(constant, "name").to_owned(), u32::try_from(number.context("a number")?)?));
    }
    Ok(values)
}

/// Assertions that both languages share; `assert` is the language's keyword.
fn shared(tables: &Tables, assert: &str, align: &str) -> Result<String> {
    let mut out = String::new();
    for (expression, value) in values(tables)? {
        writeln!(
            out,
            "{assert}((uint32_t)({expression}) == {value}u, \"{}\");",
            expression.replace('"', "")
        )?;
    }
    for constant in tables.all().iter().flat_map(|table| each(table, "constants")) {
        if constant["type"] == "UINT64" {
            let name = word(constant, "name");
            writeln!(out, "{assert}({name} == 0xFFFFFFFFFFFFFFFFull && sizeof({name}) == 8, \"{name}\");")?;
        }
    }
    for table in tables.all() {
        for item in each(table, "enums") {
            let name = word(item, "name");
            let is_type = !name.contains(' ') && item["kind"] != "flags";
            if is_type {
                writeln!(out, "{assert}(sizeof({name}) == 4, \"{name}\");")?;
            }
        }
        for item in each(table, "structs").chain(each(table, "unions")) {
            let name = word(item, "name");
            if fields(item).is_empty() {
                continue;
            }
            let (offsets, size, alignment) = layout(item);
            let size = stated_size(item).unwrap_or(size);
            let alignment = item["align"].as_u64().unwrap_or(alignment);
            writeln!(out, "{assert}(sizeof({name}) == {size}, \"size of {name}\");")?;
            writeln!(out, "{assert}({align}({name}) == {alignment}, \"alignment of {name}\");")?;
            for (at, (field, kind)) in fields(item).iter().enumerate() {
                let stated = item["fields"][at]["offset_x64"].as_u64();
                let stated = stated.or(item["fields"][at]["offset"].as_u64());
                let stated =
                    stated.or_else(|| (field == "Ranges").then(|| item["offset_of_ranges"].as_u64())?);
                let offset = stated.unwrap_or(offsets[at]);
                writeln!(out, "{assert}(offsetof({name}, {field}) == {offset}, \"{name}.{field}\");")?;
                let bytes = measure(kind).0;
                writeln!(out, "{assert}(sizeof((({name} *)0)->{field}) == {bytes}, \"{name}.{field}\");")?;
            }
        }
    }
    Ok(out)
}

/// One method that must be found at a slot.
struct Slot {
    interface: String,
    slot: u64,
    method: String,
    /// Types of the parameters, if the table has them here.
    params: Option<Vec<String>>,
}

fn slots(tables: &Tables) -> Vec<Slot> {
    let mut slots = Vec::new();
    for interface in tables.all().iter().flat_map(|table| each(table, "interfaces")) {
        let name = word(interface, "name");
        let mut push = |slot: &Value, method: &Value, params: Option<Vec<String>>| {
            slots.push(Slot {
                interface: name.to_owned(),
                slot: slot.as_u64().unwrap_or(u64::MAX),
                method: method.as_str().unwrap_or_default().to_owned(),
                params,
            });
        };
        for method in each(interface, "methods") {
            let params = each(method, "params").map(|param| parameter(word(param, "type"))).collect();
            push(&method["slot"], &method["name"], Some(params));
        }
        // Inherited ones, where the table repeats them.
        for method in each(interface, "vtable").chain(each(interface, "intermediate_slots")) {
            let method_name = if method["method"].is_string() { &method["method"] } else { &method["name"] };
            push(&method["slot"], method_name, None);
        }
    }
    slots
}

/// Interfaces with identifier and parent, each once per table.
fn identifiers(tables: &Tables) -> Vec<(String, Option<String>, String)> {
    let mut all = Vec::new();
    for interface in tables.all().iter().flat_map(|table| {
        each(table, "interfaces").chain(each(table, "referenced_interfaces")).collect::<Vec<_>>()
    }) {
        // "X (per ...); Y (per the IID's BITS definition)": the second is the truth of the table.
        let parent = word(interface, "parent");
        let parent = parent.split("; ").last().unwrap_or(parent);
        all.push((
            word(interface, "name").to_owned(),
            interface["iid"].as_str().map(str::to_owned),
            without_remark(parent).to_owned(),
        ));
    }
    all
}

/// Every class and library identifier.
fn classes(tables: &Tables) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for table in tables.all() {
        for class in each(table, "clsids") {
            all.push((
                format!("CLSID_{}", word(class, "name").trim_start_matches("CLSID_")),
                word(class, "clsid").to_owned(),
            ));
        }
        for library in each(table, "libids") {
            if let Some(id) = library["libid"].as_str() {
                all.push((word(library, "name").to_owned(), id.to_owned()));
            }
        }
    }
    all
}

pub(super) fn cpp() -> Result<String> {
    let tables = Tables::read()?;
    let mut out = CPP_HEAD.to_owned();
    out.push_str(&shared(&tables, "static_assert", "alignof")?);
    for table in tables.all() {
        for item in each(table, "enums").filter(|item| item["kind"] != "flags") {
            let name = word(item, "name");
            if !name.contains(' ') {
                writeln!(
                    out,
                    "static_assert(std::is_signed<std::underlying_type<{name}>::type>::value, \"{name}\");"
                )?;
            }
        }
        for item in each(table, "structs").chain(each(table, "unions")) {
            for (field, kind) in fields(item) {
                let kind = without_remark(&kind);
                if !kind.contains('[') {
                    writeln!(out, "SAME(decltype({}::{field}), {kind});", word(item, "name"))?;
                }
            }
        }
        for code in each(table, "hresults").filter(|code| !word(code, "name").contains('(')) {
            let name = word(code, "name");
            let plain = ["BG_", "DO_E", "QM_E", "E_", "S_", "BITS_MC", "DISP_E", "STG_E"]
                .iter()
                .any(|prefix| name.starts_with(prefix));
            if plain {
                writeln!(out, "SAME(decltype({name}), HRESULT);")?;
            }
        }
    }
    let slots = slots(&tables);
    for slot in &slots {
        if let Some(params) = &slot.params {
            let (interface, method) = (&slot.interface, &slot.method);
            writeln!(
                out,
                "SAME(decltype(&{interface}::{method}), HRESULT ({interface}::*)({}));",
                params.join(", ")
            )?;
        }
    }
    for (name, _, parent) in identifiers(&tables) {
        writeln!(out, "INTERFACE({name});")?;
        if !parent.is_empty() {
            writeln!(out, "static_assert(std::is_base_of<{parent}, {name}>::value, \"parent of {name}\");")?;
        }
    }
    out.push_str("\nint main() {\n    fill_table();\n");
    for slot in &slots {
        let (interface, method, slot) = (&slot.interface, &slot.method, slot.slot);
        let call = match method.as_str() {
            "QueryInterface" => format!("slot_of<{interface}>(query_interface<{interface}>())"),
            _ => format!("slot_of<{interface}>(&{interface}::{method})"),
        };
        writeln!(out, "    expect(\"{interface}::{method}\", {call}, {slot});")?;
    }
    for (name, iid, _) in identifiers(&tables) {
        if let Some(iid) = iid {
            writeln!(out, "    identifier(\"{name}\", IID_{name}, \"{iid}\");")?;
            writeln!(out, "    identifier(\"{name}\", __uuidof({name}), \"{iid}\");")?;
        }
    }
    for (name, id) in classes(&tables) {
        writeln!(out, "    identifier(\"{name}\", {name}, \"{id}\");")?;
        if let Some(class) = name.strip_prefix("CLSID_") {
            writeln!(out, "    identifier(\"{name}\", __uuidof({class}), \"{id}\");")?;
        }
    }
    for constant in each(&tables.delivery, "constants").filter(|constant| constant["type"] == "wstring") {
        writeln!(out, "    text({}, \"{}\");", word(constant, "name"), word(constant, "text"))?;
    }
    out.push_str("    return finish();\n}\n");
    Ok(out)
}

/// A value of the type, for a call whose arguments do not matter.
fn any_value(kind: &str) -> String {
    match kind {
        "REFGUID" | "REFIID" => "&some_guid".to_owned(),
        "GUID"
        | "BITS_JOB_PROPERTY_VALUE"
        | "BITS_FILE_PROPERTY_VALUE"
        | "LARGE_INTEGER"
        | "ULARGE_INTEGER" => {
            format!("some_{kind}")
        }
        _ => format!("({kind})0"),
    }
}

pub(super) fn c() -> Result<String> {
    let tables = Tables::read()?;
    let mut out = C_HEAD.to_owned();
    out.push_str(&shared(&tables, "_Static_assert", "_Alignof")?);
    let slots = slots(&tables);
    let mut ends: BTreeMap<&str, u64> = BTreeMap::new();
    for slot in &slots {
        let end = ends.entry(&slot.interface).or_default();
        *end = (*end).max(slot.slot + 1);
        writeln!(
            out,
            "_Static_assert(offsetof({0}Vtbl, {1}) == {2} * sizeof(void *), \"{0}.{1}\");",
            slot.interface, slot.method, slot.slot
        )?;
    }
    for (interface, end) in &ends {
        writeln!(out, "_Static_assert(sizeof({interface}Vtbl) == {end} * sizeof(void *), \"{interface}\");")?;
        writeln!(out, "_Static_assert(sizeof({interface}) == sizeof(void *), \"{interface}\");")?;
    }
    out.push_str("\nint main(void) {\n    fill_table();\n");
    let mut seen = BTreeSet::new();
    for slot in &slots {
        let Some(params) = &slot.params else { continue };
        let (interface, method) = (&slot.interface, &slot.method);
        if seen.insert(interface.clone()) {
            writeln!(out, "    {interface}_QueryInterface(({interface} *)&fake, &some_guid, (void **)0);")?;
            writeln!(out, "    expect(\"{interface}_QueryInterface\", 0);")?;
            writeln!(
                out,
                "    {interface}_AddRef(({interface} *)&fake);\n    expect(\"{interface}_AddRef\", 1);"
            )?;
            writeln!(
                out,
                "    {interface}_Release(({interface} *)&fake);\n    expect(\"{interface}_Release\", 2);"
            )?;
        }
        let arguments: String = params.iter().map(|kind| format!(", {}", any_value(kind))).collect();
        writeln!(out, "    {interface}_{method}(({interface} *)&fake{arguments});")?;
        writeln!(out, "    expect(\"{interface}_{method}\", {});", slot.slot)?;
    }
    for (name, iid, _) in identifiers(&tables) {
        if let Some(iid) = iid {
            writeln!(out, "    identifier(\"{name}\", &IID_{name}, \"{iid}\");")?;
        }
    }
    for (name, id) in classes(&tables) {
        writeln!(out, "    identifier(\"{name}\", &{name}, \"{id}\");")?;
    }
    out.push_str("    return finish();\n}\n");
    Ok(out)
}
