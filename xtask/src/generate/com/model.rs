//! What the constants files say, in one form.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeSet;

/// Everything that was read.
#[derive(Default)]
pub(super) struct Model {
    pub(super) constants: Vec<Constant>,
    pub(super) classes: Vec<(String, String)>,
    pub(super) contexts: Vec<(i64, String)>,
    pub(super) structs: Vec<Struct>,
    pub(super) interfaces: Vec<Interface>,
    enums: BTreeSet<String>,
    names: BTreeSet<String>,
}

/// A named number.
pub(super) struct Constant {
    pub(super) name: String,
    pub(super) rust_type: &'static str,
    pub(super) value: String,
    pub(super) doc: String,
}

/// A struct or union.
pub(super) struct Struct {
    pub(super) file: String,
    pub(super) name: String,
    pub(super) union: bool,
    pub(super) fields: Vec<(String, String)>,
}

/// An interface with its own methods.
pub(super) struct Interface {
    pub(super) file: String,
    pub(super) name: String,
    pub(super) iid: String,
    pub(super) parent: String,
    pub(super) role: Role,
    pub(super) methods: Vec<Method>,
}

/// Who implements an interface.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The library.
    Library,
    /// The program that uses it; the library calls.
    Program,
    /// Nobody here: declared only.
    Nobody,
}

/// A method.
pub(super) struct Method {
    pub(super) slot: u64,
    pub(super) name: String,
    pub(super) params: Vec<Param>,
}

/// A parameter.
pub(super) struct Param {
    pub(super) name: String,
    pub(super) base: String,
    pub(super) stars: usize,
    pub(super) constant: bool,
    pub(super) out: bool,
    pub(super) nullable: bool,
    /// The array has as many elements as this parameter says.
    pub(super) counted_by: Option<String>,
    /// It is written as an array.
    array: bool,
}

impl Model {
    /// Adds a file; what another file said already is passed over.
    pub(super) fn read(&mut self, file: &str, json: &Value) -> Result<()> {
        for key in ["enums", "flag_sets"] {
            for set in list(json, key) {
                let flags = key == "flag_sets" || set["kind"] == "flags";
                if !flags {
                    self.enums.insert(first_word(text(set, "name")?).to_owned());
                }
                for row in list(set, "values") {
                    // One enumerator has a name and no number in the documentation; it is the only one of its type
                    // (spec/delivery-optimization-com.md, ambiguity 5).
                    let number = match &row["value"] {
                        Value::Null => 0,
                        value => value.as_i64().context("a value is a number")?,
                    };
                    let value = if flags { format!("0x{number:X}") } else { number.to_string() };
                    let doc = row["meaning"].as_str().unwrap_or_default();
                    self.constant(text(row, "name")?, if flags { "u32" } else { "i32" }, value, doc);
                }
            }
        }
        for row in list(json, "constants") {
            // Only the numbers; an application's texts are no business of the library.
            let number = row["hex"].as_str().or_else(|| row["value"].as_str());
            let (Some(number), Ok("UINT64" | "int")) = (number, text(row, "type")) else { continue };
            let doc = row["meaning"].as_str().unwrap_or_default();
            let rust_type = if row["type"] == "UINT64" { "u64" } else { "i32" };
            self.constant(text(row, "name")?, rust_type, number.to_owned(), doc);
        }
        for row in list(json, "clsids") {
            let name = text(row, "name")?.trim_start_matches("CLSID_");
            if self.names.insert(format!("CLSID_{name}")) {
                self.classes.push((format!("CLSID_{name}"), text(row, "clsid")?.to_ascii_lowercase()));
            }
        }
        self.contexts(json)?;
        for (key, union) in [("structs", false), ("unions", true)] {
            for row in list(json, key) {
                self.structure(file, row, union || row["kind"] == "union")?;
            }
        }
        for row in list(json, "interfaces") {
            self.interface(file, row)?;
        }
        Ok(())
    }

    fn constant(&mut self, name: &str, rust_type: &'static str, value: String, doc: &str) {
        // `(none)` is how a table calls a mask without bits.
        if !name.starts_with('(') && self.names.insert(name.to_owned()) {
            let (name, doc) = (name.to_owned(), doc.replace('<', "\\<").replace('[', "\\["));
            self.constants.push(Constant { name, rust_type, value, doc });
        }
    }

    /// Error contexts and the codes whose texts describe them.
    fn contexts(&mut self, json: &Value) -> Result<()> {
        let Some(messages) = json["error_context_messages"].as_object() else { return Ok(()) };
        for (context, message) in messages {
            let number = self.constants.iter().find(|c| c.name == *context);
            let number = number.and_then(|c| c.value.parse().ok()).or(match context.as_str() {
                // Its enumerator comes with a later file.
                "BG_ERROR_CONTEXT_SERVER_CERTIFICATE_CALLBACK" => Some(8),
                _ => None,
            });
            let message = message.as_str().context("a message is a name")?;
            self.contexts.push((number.context("a context is an enumerator")?, message.to_owned()));
        }
        self.contexts.sort();
        Ok(())
    }

    fn structure(&mut self, file: &str, row: &Value, union: bool) -> Result<()> {
        let name = text(row, "name")?.to_owned();
        let mut fields = Vec::new();
        for field in list(row, "fields") {
            let pair = match field.as_array().map(Vec::as_slice) {
                Some([name, kind]) => (name.as_str(), kind.as_str()),
                _ => (field["name"].as_str(), field["type"].as_str()),
            };
            let (Some(name), Some(kind)) = pair else { bail!("a field of {name} has no name or type") };
            fields.push((name.to_owned(), first_word(kind).to_owned()));
        }
        if !fields.is_empty() && self.names.insert(name.clone()) {
            self.structs.push(Struct { file: file.to_owned(), name, union, fields });
        }
        Ok(())
    }

    fn interface(&mut self, file: &str, row: &Value) -> Result<()> {
        let name = text(row, "name")?.to_owned();
        let Some(iid) = row["iid"].as_str() else { return Ok(()) };
        if !self.names.insert(name.clone()) {
            return Ok(());
        }
        let note = row["note"].as_str().unwrap_or_default();
        let noted = note.strip_prefix("implemented by the ").and_then(|rest| rest.split(',').next());
        let role = match row["implemented_by"].as_str().or(noted).unwrap_or("service") {
            "service" => Role::Library,
            who if who.starts_with("client") => Role::Program,
            _ => Role::Nobody,
        };
        let mut methods = Vec::new();
        for method in list(row, "methods") {
            let mut params: Vec<Param> = Vec::new();
            for param in list(method, "params") {
                let mut param = parameter(param)?;
                // Where nothing else is said, the number of elements comes before them.
                if param.array && param.counted_by.is_none() {
                    param.counted_by = params.last().map(|before| before.name.clone());
                }
                params.push(param);
            }
            let slot = method["slot"].as_u64().context("a method has a slot")?;
            methods.push(Method { slot, name: text(method, "name")?.to_owned(), params });
        }
        let (file, iid) = (file.to_owned(), iid.to_ascii_lowercase());
        let parent = first_word(text(row, "parent")?).to_owned();
        self.interfaces.push(Interface { file, name, iid, parent, role, methods });
        Ok(())
    }

    /// The struct or union of this name.
    pub(super) fn structure_named(&self, name: &str) -> Option<&Struct> {
        self.structs.iter().find(|s| s.name == name)
    }

    /// A struct that ends with as many elements as a field of it says: the caller's pointer is followed by hand.
    pub(super) fn is_open(&self, name: &str) -> bool {
        self.structure_named(name)
            .is_some_and(|s| s.fields.last().is_some_and(|(_, kind)| kind.ends_with(']')))
    }

    /// A struct whose layout is the same for every width of characters.
    pub(super) fn is_plain(&self, name: &str) -> bool {
        self.structure_named(name).is_none_or(|s| {
            s.fields.iter().all(|(_, kind)| {
                !matches!(kind.as_str(), "LPWSTR" | "LPCWSTR" | "BSTR")
                    && (self.structure_named(kind).is_none() || self.is_plain(kind))
            })
        })
    }

    /// The name of an interface.
    pub(super) fn is_interface(&self, name: &str) -> bool {
        matches!(name, "IUnknown" | "IDispatch") || self.interfaces.iter().any(|i| i.name == name)
    }

    /// The Rust type of a value.
    pub(super) fn rust_type(&self, name: &str) -> Result<String> {
        let known = match name {
            "HRESULT" | "BOOL" | "LONG" => "i32",
            "DWORD" | "ULONG" | "UINT" => "u32",
            "UINT64" | "ULONG64" => "u64",
            "BYTE" | "byte" => "u8",
            "GUID" | "REFGUID" | "REFIID" => "GUID",
            "WCHAR" => "Wchar",
            "LPWSTR" | "BSTR" => "*mut Wchar",
            "LPCWSTR" => "*const Wchar",
            "FILETIME" | "VARIANT" => name,
            "void" => "c_void",
            _ if name.ends_with("[1]") => {
                return Ok(format!("[{}; 1]", self.rust_type(&name[..name.len() - 3])?));
            }
            _ if self.enums.contains(name) => "i32",
            _ if self.structure_named(name).is_some() => name,
            _ => bail!("the constants use the type {name}, which nobody defines"),
        };
        Ok(known.to_owned())
    }
}

fn parameter(row: &Value) -> Result<Param> {
    let written = text(row, "type")?;
    let array = written.contains("[]");
    let base = written.replace("const ", "").replace(['*', ' '], "").replace("[]", "");
    let stars = written.matches('*').count() + usize::from(array);
    let direction = row["direction"].as_str().or_else(|| row["dir"].as_str()).context("a direction")?;
    let note = row["note"].as_str().unwrap_or_default();
    let noted = note.strip_prefix("array of ").and_then(|rest| rest.split(' ').next());
    let counted_by = row["size_is"].as_str().or(noted).map(|name| name.trim_start_matches('*').to_owned());
    let nullable = match &row["nullable"] {
        Value::Bool(may) => *may,
        Value::String(_) => true,
        _ => {
            // COM's own enumerators count for whoever wants to know.
            let counted = row["name"] == "pceltFetched";
            note.starts_with("optional") || note.contains("may be null") || counted
        }
    };
    // `const WCHAR *` is spelled LPCWSTR elsewhere.
    let (base, stars) = if base == "WCHAR" && stars == 1 { ("LPCWSTR".to_owned(), 0) } else { (base, stars) };
    Ok(Param {
        name: text(row, "name")?.to_owned(),
        base,
        stars,
        constant: written.starts_with("const ") || !direction.contains("out"),
        out: direction.contains("out"),
        nullable,
        counted_by,
        array,
    })
}

fn list<'a>(json: &'a Value, key: &str) -> &'a [Value] {
    json[key].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(row: &'a Value, key: &str) -> Result<&'a str> {
    row[key].as_str().with_context(|| format!("{key} of {row}"))
}

fn first_word(text: &str) -> &str {
    text.split([' ', '(']).next().unwrap_or(text)
}
