// UTF-8 of the command line and the terminal <-> WCHAR of the interfaces, whatever its size.
#ifndef OPENBITS_EXAMPLES_TEXT_H
#define OPENBITS_EXAMPLES_TEXT_H

#include <openbits/com.h>

#include <string>
#include <vector>

// Text of WCHAR. Not std::wstring: with -fshort-wchar the platform's wide functions, and so std::wstring, do not work.
class WideText {
    std::vector<WCHAR> units; // with the zero at the end

public:
    WideText() : units(1) {}
    WideText(LPCWSTR text) : units(1) {
        while (text != nullptr && *text != 0) {
            *this += *text++;
        }
    }
    WideText(size_t count, WCHAR unit) : units(count, unit) { units.push_back(0); }
    LPCWSTR c_str() const { return units.data(); }
    LPWSTR data() { return units.data(); }
    WideText &operator+=(WCHAR unit) {
        units.back() = unit;
        units.push_back(0);
        return *this;
    }
    friend WideText operator+(WideText left, const WideText &right) {
        left.units.pop_back();
        left.units.insert(left.units.end(), right.units.begin(), right.units.end());
        return left;
    }
    friend bool operator==(const WideText &left, const WideText &right) { return left.units == right.units; }
};

inline WideText wide(const char *utf8) {
    WideText out;
    for (const unsigned char *at = reinterpret_cast<const unsigned char *>(utf8); *at != 0;) {
        const int more = *at >= 0xF0 ? 3 : *at >= 0xE0 ? 2 : *at >= 0xC0 ? 1 : 0;
        uint32_t point = more == 0 ? *at : *at & (0x3F >> more);
        at++;
        for (int i = 0; i < more && (*at & 0xC0) == 0x80; i++) {
            point = point << 6 | (*at++ & 0x3F);
        }
        if (sizeof(WCHAR) == 2 && point > 0xFFFF) {
            out += static_cast<WCHAR>(0xD800 + ((point - 0x10000) >> 10));
            point = 0xDC00 + (point & 0x3FF);
        }
        out += static_cast<WCHAR>(point);
    }
    return out;
}

inline std::string narrow(LPCWSTR text) {
    std::string out;
    for (size_t i = 0; text != nullptr && text[i] != 0; i++) {
        uint32_t point = static_cast<uint32_t>(text[i]);
        if (sizeof(WCHAR) == 2 && point >= 0xD800 && point < 0xDC00 && text[i + 1] != 0) {
            point = 0x10000 + ((point - 0xD800) << 10) + (static_cast<uint32_t>(text[++i]) - 0xDC00);
        }
        if (point < 0x80) {
            out += static_cast<char>(point);
            continue;
        }
        const int more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
        out += static_cast<char>(0xF00 >> (more + 1) | point >> (6 * more));
        for (int left = more - 1; left >= 0; left--) {
            out += static_cast<char>(0x80 | (point >> (6 * left) & 0x3F));
        }
    }
    return out;
}

// Text that a method handed out: read and freed.
inline std::string taken(LPWSTR text) {
    std::string out = narrow(text);
    CoTaskMemFree(text);
    return out;
}

// A full path, as the interfaces want it.
inline WideText full_path(const char *path) {
    if (path[0] == '/') {
        return wide(path);
    }
    char *here = realpath(".", nullptr);
    std::string full = std::string(here) + "/" + path;
    free(here);
    return wide(full.c_str());
}

#endif
