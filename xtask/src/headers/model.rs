//! What the tables say, put where a C header wants it.

use crate::generate::{constants, hresults};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A type and a name: a parameter or a field.
pub(super) struct Named {
    /// As C spells it, without the name; arrays end in `[]` or `[1]`.
    pub(super) kind: String,
    pub(super) name: String,
}

pub(super) struct Method {
    pub(super) name: String,
    pub(super) params: Vec<Named>,
}

pub(super) struct Interface {
    pub(super) name: String,
    /// None: the tables know none.
    pub(super) iid: Option<String>,
    pub(super) parent: String,
    /// Own methods in the order of their slots.
    pub(super) methods: Vec<Method>,
}

pub(super) struct Enumeration {
    pub(super) name: String,
    pub(super) values: Vec<(String, i64)>,
}

pub(super) struct Record {
    /// `struct` or `union`.
    pub(super) keyword: &'static str,
    pub(super) name: String,
    pub(super) fields: Vec<Named>,
}

/// Contents of one header.
#[derive(Default)]
pub(super) struct Header {
    /// Name of the macro and its replacement text.
    pub(super) macros: Vec<(String, String)>,
    pub(super) enums: Vec<Enumeration>,
    pub(super) records: Vec<Record>,
    pub(super) interfaces: Vec<Interface>,
    /// Name without prefix, and the identifier's text.
    pub(super) classes: Vec<(String, String)>,
    pub(super) libraries: Vec<(String, String)>,
    /// Name, value, meaning.
    pub(super) codes: Vec<(String, u32, String)>,
}

/// All headers by name, and what every interface inherits.
pub(super) struct Model {
    pub(super) headers: BTreeMap<String, Header>,
}

pub(super) const GENERIC: &str = "hresult.h";
pub(super) const MESSAGES: &str = "bitsmsg.h";
pub(super) const QMGR: &str = "qmgr.h";
pub(super) const DELIVERY: &str = "deliveryoptimization.h";

fn text(value: &Value, key: &str) -> Result<String> {
    Ok(value[key].as_str().with_context(|| format!("{key:?} is missing in {value}"))?.to_owned())
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// Types carry remarks in parentheses.
fn plain_type(kind: &str) -> String {
    let kind = kind.split(" (").next().unwrap_or(kind).trim();
    kind.replace("byte ", "BYTE ")
}

fn number(value: &Value) -> Result<u32> {
    let hex = text(value, "hex")?;
    let digits = hex.strip_prefix("0x").context("codes are hexadecimal")?;
    Ok(u32::from_str_radix(digits, 16)?)
}

impl Model {
    pub(super) fn read() -> Result<Model> {
        let mut reader = Reader::default();
        reader.core(&constants("bits-core.json")?)?;
        reader.extended(&constants("bits-extended.json")?)?;
        reader.qmgr(&constants("qmgr.json")?)?;
        reader.delivery(&constants("deliveryoptimization.json")?)?;
        for (name, value, meaning) in hresults::EXTRA {
            reader.code(name, *value, meaning)?;
        }
        Ok(Model { headers: reader.headers })
    }

    /// The interface, wherever it is declared.
    pub(super) fn interface(&self, name: &str) -> Option<&Interface> {
        self.headers.values().flat_map(|header| &header.interfaces).find(|interface| interface.name == name)
    }
}

#[derive(Default)]
struct Reader {
    headers: BTreeMap<String, Header>,
    /// Names that were declared: the tables repeat each other.
    seen: BTreeSet<String>,
}

impl Reader {
    fn header(&mut self, name: &str) -> &mut Header {
        self.headers.entry(name.to_owned()).or_default()
    }

    /// True the first time.
    fn first(&mut self, name: &str) -> bool {
        self.seen.insert(name.to_owned())
    }

    fn core(&mut self, table: &Value) -> Result<()> {
        for constant in list(table, "constants") {
            self.constant("bits.h", constant)?;
        }
        for set in list(table, "flag_sets") {
            self.flags("bits.h", list(set, "values"))?;
        }
        for item in list(table, "enums") {
            self.enumeration(&text(item, "header")?, item)?;
        }
        for item in list(table, "structs") {
            let keyword = if item["kind"] == "union" { "union" } else { "struct" };
            self.record(&text(item, "header")?, keyword, item)?;
        }
        for item in list(table, "interfaces") {
            self.interface(&text(item, "header")?, item)?;
        }
        for class in list(table, "clsids") {
            let name = text(class, "name")?.replace("CLSID_", "");
            self.class(&name, &text(class, "clsid")?);
        }
        for library in list(table, "libids") {
            let name = text(library, "name")?;
            let header = versioned(&name);
            let id = text(library, "libid")?;
            self.header(&header).libraries.push((name, id));
        }
        for code in list(table, "hresults") {
            self.code(&text(code, "name")?, number(code)?, code["meaning"].as_str().unwrap_or(""))?;
        }
        let aliases = table["hresult_aliases"].as_object().context("aliases")?;
        for (name, target) in aliases {
            let target = target.as_str().context("an alias names a code")?.to_owned();
            self.header(MESSAGES).macros.push((name.clone(), target));
        }
        Ok(())
    }

    fn extended(&mut self, table: &Value) -> Result<()> {
        for constant in list(table, "constants") {
            self.constant("bits2_0.h", constant)?;
        }
        for item in list(table, "enums") {
            let header = match text(item, "header")?.as_str() {
                // Integrity levels are there for one method of 3.0.
                "winnt.h" => "bits3_0.h".to_owned(),
                other => other.to_owned(),
            };
            let is_type = item["kind"] == "enum" && !text(item, "name")?.contains(' ');
            if is_type {
                self.enumeration(&header, item)?;
            } else {
                self.flags(&header, list(item, "values"))?;
            }
        }
        for (key, keyword) in [("structs", "struct"), ("unions", "union")] {
            for item in list(table, key) {
                self.record(&text(item, "header")?, keyword, item)?;
            }
        }
        for item in list(table, "interfaces") {
            self.interface(&text(item, "header")?, item)?;
        }
        for class in list(table, "clsids") {
            self.class(&text(class, "name")?, &text(class, "clsid")?);
        }
        for code in list(table, "hresults") {
            self.code(&text(code, "name")?, number(code)?, code["meaning"].as_str().unwrap_or(""))?;
        }
        Ok(())
    }

    fn qmgr(&mut self, table: &Value) -> Result<()> {
        let sets = table["constants"].as_object().context("constants of qmgr")?;
        for set in sets.values() {
            self.flags(QMGR, list(set, "values"))?;
        }
        self.rest(QMGR, table)
    }

    fn delivery(&mut self, table: &Value) -> Result<()> {
        for constant in list(table, "constants") {
            self.constant(DELIVERY, constant)?;
        }
        self.rest(DELIVERY, table)
    }

    /// What `qmgr` and `deliveryoptimization` write alike.
    fn rest(&mut self, header: &str, table: &Value) -> Result<()> {
        for item in list(table, "enums") {
            self.enumeration(header, item)?;
        }
        for item in list(table, "structs") {
            let keyword = if item["kind"] == "union" { "union" } else { "struct" };
            self.record(header, keyword, item)?;
        }
        for item in list(table, "interfaces") {
            self.interface(header, item)?;
        }
        for class in list(table, "clsids") {
            let (name, id) = (text(class, "name")?, text(class, "clsid")?);
            self.header(header).classes.push((name, id));
        }
        for code in list(table, "hresults") {
            self.code(&text(code, "name")?, number(code)?, code["meaning"].as_str().unwrap_or(""))?;
        }
        Ok(())
    }

    fn constant(&mut self, header: &str, constant: &Value) -> Result<()> {
        let name = text(constant, "name")?;
        // types.h has it: every header needs it.
        if name == "MAX_PATH" || !self.first(&name) {
            return Ok(());
        }
        let value = match text(constant, "type")?.as_str() {
            // No value in the tables means the one of BG_SIZE_UNKNOWN (delivery-optimization-com.md, open question 4).
            "UINT64" => "((UINT64)0xFFFFFFFFFFFFFFFFULL)".to_owned(),
            "wstring" => format!("OLESTR(\"{}\")", text(constant, "text")?),
            "uint" => format!("{}u", text(constant, "hex")?),
            "int" => constant["value"].to_string(),
            other => bail!("constant {name} has the unknown type {other}"),
        };
        self.header(header).macros.push((name, value));
        Ok(())
    }

    fn flags(&mut self, header: &str, values: &[Value]) -> Result<()> {
        for value in values {
            let name = text(value, "name")?;
            if name.starts_with('(') || !self.first(&name) {
                continue;
            }
            let bits = value["value"].as_i64().with_context(|| format!("value of {name}"))?;
            self.header(header).macros.push((name, format!("{bits:#x}")));
        }
        Ok(())
    }

    fn enumeration(&mut self, header: &str, item: &Value) -> Result<()> {
        let name = text(item, "name")?;
        let mut values = Vec::new();
        if name.contains(' ') || !self.first(&name) {
            return Ok(());
        }
        for value in list(item, "values") {
            let word = text(value, "name")?;
            self.seen.insert(word.clone());
            // The one enumerator without a number: 0 (delivery-optimization-com.md, open question 5).
            values.push((word, value["value"].as_i64().unwrap_or(0)));
        }
        self.header(header).enums.push(Enumeration { name, values });
        Ok(())
    }

    fn record(&mut self, header: &str, keyword: &'static str, item: &Value) -> Result<()> {
        let name = text(item, "name")?;
        let mut fields = Vec::new();
        for field in list(item, "fields") {
            let (kind, name) = match field {
                Value::Array(pair) => (pair[1].as_str(), pair[0].as_str()),
                other => (other["type"].as_str(), other["name"].as_str()),
            };
            let kind = plain_type(kind.context("field without a type")?);
            fields.push(Named { kind, name: name.context("field without a name")?.to_owned() });
        }
        // A name without fields is mentioned in the documentation, but was never in the header.
        if !fields.is_empty() && self.first(&name) {
            self.header(header).records.push(Record { keyword, name, fields });
        }
        Ok(())
    }

    fn interface(&mut self, header: &str, item: &Value) -> Result<()> {
        let name = text(item, "name")?;
        if !self.first(&name) {
            return Ok(());
        }
        let mut methods = Vec::new();
        let mut slots = BTreeSet::new();
        for method in list(item, "methods") {
            let slot = method["slot"].as_u64().with_context(|| format!("slot of a method of {name}"))?;
            if slots.last().is_some_and(|last| slot != last + 1) || !slots.insert(slot) {
                bail!("slots of {name} are not in order");
            }
            let mut params = Vec::new();
            for param in list(method, "params") {
                params.push(Named { kind: plain_type(&text(param, "type")?), name: text(param, "name")? });
            }
            methods.push(Method { name: text(method, "name")?, params });
        }
        let iid = item["iid"].as_str().map(str::to_owned);
        let parent = text(item, "parent")?;
        self.header(header).interfaces.push(Interface { name, iid, parent, methods });
        Ok(())
    }

    fn class(&mut self, name: &str, id: &str) {
        if self.first(&format!("CLSID_{name}")) {
            let header =
                if name.starts_with("BITSExtension") { "bitscfg.h".to_owned() } else { versioned(name) };
            self.header(&header).classes.push((name.to_owned(), id.to_owned()));
        }
    }

    fn code(&mut self, name: &str, value: u32, meaning: &str) -> Result<()> {
        // One code may be listed by its system error and as a whole.
        let inner = name.strip_prefix("HRESULT_FROM_WIN32(").and_then(|rest| rest.strip_suffix(')'));
        let is_system = inner.is_some() || ["ERROR_", "RPC_X_", "RPC_S_"].iter().any(|p| name.starts_with(p));
        let name = inner.unwrap_or(name);
        if !self.first(name) {
            return Ok(());
        }
        let header = match name {
            _ if name.starts_with("BG_") || name.starts_with("BITS_MC_") => MESSAGES,
            _ if name.starts_with("QM_") => QMGR,
            _ if name.starts_with("DO_") => DELIVERY,
            _ => GENERIC,
        };
        if is_system {
            if value >> 16 != 0x8007 {
                bail!("{name} is no system error");
            }
            self.header(header).macros.push((name.to_owned(), (value & 0xFFFF).to_string()));
        } else {
            self.header(header).codes.push((name.to_owned(), value, meaning.to_owned()));
        }
        Ok(())
    }
}

/// `BackgroundCopyManager2_0` is declared in `bits2_0.h`.
fn versioned(name: &str) -> String {
    match name.find(|c: char| c.is_ascii_digit()) {
        Some(at) => format!("bits{}.h", &name[at..]),
        None => "bits.h".to_owned(),
    }
}
