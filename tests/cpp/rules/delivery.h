// Support of the rows of deliveryoptimization.h: values, downloads, callback objects and streams of the program.
#ifndef OPENBITS_TESTS_DELIVERY_H
#define OPENBITS_TESTS_DELIVERY_H

#include "../objects.h"
#include "rules.h"

#include <openbits/deliveryoptimization.h>

#include <mutex>

#define D IDODownload
#define FIELD(name) DODownloadProperty_##name

IDOManager *the_do_manager();
// What the origin has under the name, by a download of the other interfaces.
const std::string &reference(const char *name);

// A VARIANT that is cleared in the end.
class Value {
    VARIANT variant;

public:
    Value() { VariantInit(&variant); }
    Value(const Value &other) : Value() { VariantCopy(&variant, &other.variant); }
    Value &operator=(const Value &other) {
        VariantCopy(&variant, &other.variant);
        return *this;
    }
    ~Value() { VariantClear(&variant); }
    static Value text(const WideText &text);
    static Value text(const char *utf8) { return text(wide(utf8)); }
    static Value text(const std::string &utf8) { return text(wide(utf8.c_str())); }
    static Value ui4(UINT number);
    static Value ui8(UINT64 number);
    static Value boolean(bool truth);
    static Value unknown(IUnknown *object);
    static Value bytes(const std::string &bytes);
    // A value of the type, whatever it is.
    static Value of_type(VARTYPE type);

    VARTYPE type() const { return variant.vt; }
    const VARIANT *get() const { return &variant; }
    VARIANT *out() {
        VariantClear(&variant);
        return &variant;
    }
    const VARIANT *operator->() const { return &variant; }
    std::string utf8() const { return variant.vt == VT_BSTR ? narrow(variant.bstrVal) : "(no text)"; }
    friend bool operator==(const Value &left, const Value &right);
};

// A new download, aborted at the end of the case if it is not final.
class Download {
    Held<IDODownload> download;

public:
    Download();
    // Of a file of the origin, into one of the folder; NULL: none.
    explicit Download(const char *name, const char *local);
    Download(const Download &) = delete;
    Download &operator=(const Download &) = delete;
    ~Download();
    IDODownload *get() const { return download.get(); }
    IDODownload *operator->() const { return download.get(); }
    void set(DODownloadProperty id, const Value &value) const;
    Value value(DODownloadProperty id) const;
    DO_DOWNLOAD_STATUS status() const;
    DODownloadState state() const { return status().State; }
    // Waits at most 30 s for the state; false, and said, if it ended in another one.
    bool until(DODownloadState wanted) const;
};

// DO_DOWNLOAD_RANGES_INFO of any length.
class Ranges {
    std::vector<UINT64> words; // the count and its padding, then pairs

public:
    Ranges(std::initializer_list<DO_DOWNLOAD_RANGE> list);
    const DO_DOWNLOAD_RANGES_INFO *get() const {
        return reinterpret_cast<const DO_DOWNLOAD_RANGES_INFO *>(words.data());
    }
};

// Objects of the program that live.
extern std::atomic<int> watchers, sinks;

// Notes every call; may do something in it.
class Watcher final : public Counted<IDODownloadStatusCallback> {
    std::mutex mutex;
    std::vector<DO_DOWNLOAD_STATUS> calls;
    std::atomic<int> inside{0};

public:
    std::atomic<bool> at_once{false};      // two calls at a time were seen
    std::atomic<bool> arguments_good{true};
    std::atomic<HRESULT> answer{S_OK};
    std::function<void(IDODownload *, const DO_DOWNLOAD_STATUS &)> act;

    Watcher() { watchers++; }
    ~Watcher() override { watchers--; }
    HRESULT QueryInterface(REFIID riid, void **object) override;
    HRESULT OnStatusChange(IDODownload *download, const DO_DOWNLOAD_STATUS *status) override;
    std::vector<DO_DOWNLOAD_STATUS> seen();
    size_t count() { return seen().size(); }
    bool has(DODownloadState state);
    DODownloadState last(); // -1 before the first
};

// Keeps what it gets.
class Sink final : public WriteOnly<Counted<IStream>> {
    std::mutex mutex;
    std::string bytes;
    std::atomic<int> inside{0};

public:
    std::atomic<bool> at_once{false};
    std::atomic<int> others{0};      // calls of anything but Write
    std::atomic<HRESULT> answer{S_OK};
    std::atomic<ULONG> most{~0u};    // a Write takes so many bytes

    Sink() { sinks++; }
    ~Sink() override { sinks--; }
    std::string content();
    HRESULT Write(const void *data, ULONG length, ULONG *written) override;

private:
    HRESULT other() override {
        others++;
        return E_NOTIMPL;
    }
};

// An object that is nothing but an IUnknown.
class Plain final : public Counted<IUnknown> {
public:
    HRESULT QueryInterface(REFIID riid, void **object) override {
        *object = riid == IID_IUnknown ? this : nullptr;
        return *object == nullptr ? E_NOINTERFACE : (AddRef(), S_OK);
    }
};

#endif
