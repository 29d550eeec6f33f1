//! The judge is judged: headers with one mistake each must be refused.

use crate::generate::root;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

type Changes = &'static [(&'static str, &'static str)];

/// What is broken, in which header, and the texts that change places or are replaced.
const MUTANTS: &[(&str, &str, Changes)] = &[
    // The control: this set must be accepted.
    ("", "bits.h", &[]),
    (
        "two methods changed places",
        "bits.h",
        &[
            ("STDMETHODCALLTYPE Suspend() = 0", "STDMETHODCALLTYPE Resume_() = 0"),
            ("STDMETHODCALLTYPE Resume() = 0", "STDMETHODCALLTYPE Suspend() = 0"),
            ("STDMETHODCALLTYPE Resume_() = 0", "STDMETHODCALLTYPE Resume() = 0"),
        ],
    ),
    (
        "an identifier",
        "bits.h",
        &[("IID_IBackgroundCopyError, 0x19C613A0", "IID_IBackgroundCopyError, 0x19C613A1")],
    ),
    ("a code", "bitsmsg.h", &[("BG_E_EMPTY ((HRESULT)0x80200003)", "BG_E_EMPTY ((HRESULT)0x80200004)")]),
    ("an enumerator", "bits.h", &[("BG_JOB_STATE_ERROR = 4", "BG_JOB_STATE_ERROR = 5")]),
    ("a field's type", "bits5_0.h", &[("    BOOL Enable;", "    BYTE Enable;")]),
    (
        "two fields changed places",
        "bits1_5.h",
        &[
            ("    LPWSTR UserName;", "    LPWSTR Password_;"),
            ("    LPWSTR Password;", "    LPWSTR UserName;"),
            ("    LPWSTR Password_;", "    LPWSTR Password;"),
        ],
    ),
    (
        "a virtual destructor",
        "qmgr.h",
        &[("    ~IBackgroundCopyQMgr() = default;", "    virtual ~IBackgroundCopyQMgr() = default;")],
    ),
    (
        "a parameter's type",
        "bits10_1.h",
        &[("UpdateDownloadPosition(UINT64 offset) = 0", "UpdateDownloadPosition(UINT32 offset) = 0")],
    ),
    (
        "two fields of an array's descriptor changed places",
        "safearray.h",
        &[
            ("    ULONG cbElements;", "    ULONG cLocks_;"),
            ("    ULONG cLocks;", "    ULONG cbElements;"),
            ("    ULONG cLocks_;", "    ULONG cLocks;"),
        ],
    ),
    (
        "a narrower field in front of a pointer",
        "safearray.h",
        &[("    USHORT fFeatures;", "    ULONG fFeatures;")],
    ),
    ("an untyped array in a VARIANT", "automation.h", &[("SAFEARRAY *parray;", "void *parray;")]),
    ("a wider VARIANT", "automation.h", &[("    WORD wReserved3;", "    ULONG wReserved3;")]),
    (
        "two methods of a stream changed places",
        "stream.h",
        &[
            (
                "STDMETHODCALLTYPE Read(void *pv, ULONG cb, ULONG *pcbRead) = 0",
                "STDMETHODCALLTYPE Reading() = 0",
            ),
            (
                "STDMETHODCALLTYPE Write(const void *pv, ULONG cb, ULONG *pcbWritten) = 0",
                "STDMETHODCALLTYPE Read(void *pv, ULONG cb, ULONG *pcbRead) = 0",
            ),
            (
                "STDMETHODCALLTYPE Reading() = 0",
                "STDMETHODCALLTYPE Write(const void *pv, ULONG cb, ULONG *pcbWritten) = 0",
            ),
        ],
    ),
    (
        "a stream that is no sequential one",
        "stream.h",
        &[("struct IStream : public ISequentialStream {", "struct IStream : public IUnknown {")],
    ),
    ("the identifier of a stream", "stream.h", &[("IID_IStream, 0x0000000C", "IID_IStream, 0x0000000D")]),
];

/// Writes each broken set of headers; returns what is wrong (None for the control) and the folder to include.
pub(super) fn write(folder: &Path) -> Result<Vec<(Option<&'static str>, PathBuf)>> {
    let original = root().join("include/openbits");
    let mut mutants = Vec::new();
    for (number, (wrong, header, changes)) in MUTANTS.iter().enumerate() {
        let target = folder.join(format!("mutant{number}"));
        std::fs::create_dir_all(&target).with_context(|| format!("creating {}", target.display()))?;
        for entry in original.read_dir()? {
            let path = entry?.path();
            if path.is_file() {
                let name = path.file_name().unwrap_or_default();
                std::fs::copy(&path, target.join(name))?;
            }
        }
        let path = target.join(header);
        let mut text = std::fs::read_to_string(&path)?;
        for (from, to) in *changes {
            if text.matches(from).count() != 1 {
                bail!("{from:?} is not there exactly once in {header}");
            }
            text = text.replace(from, to);
        }
        std::fs::write(&path, text)?;
        mutants.push(((!wrong.is_empty()).then_some(*wrong), target));
    }
    Ok(mutants)
}
