/* openbits: the words of the COM headers, for Linux compilers.
 *
 * Sizes are those of the vendor's ABI, not of this platform's `long`: ULONG, DWORD, LONG, BOOL and HRESULT have 32 bits.
 *
 * WCHAR comes in three flavours; the library serves each with its own vtables, so nothing is converted here:
 *   plain                     WCHAR = wchar_t, 4 bytes, L"..." literals
 *   -fshort-wchar             WCHAR = wchar_t, 2 bytes, L"..." literals
 *   #define OPENBITS_CHAR16   WCHAR = char16_t, 2 bytes, u"..." literals (OLESTR("...") and TEXT("...") fit either way)
 * One translation unit has one flavour; objects made by one flavour must not be used by another.
 */
#ifndef OPENBITS_TYPES_H
#define OPENBITS_TYPES_H

#include <stddef.h>
#include <stdint.h>

#ifndef __LP64__
#error "libopenbits exists for 64-bit platforms only"
#endif

#ifdef __cplusplus
#if __cplusplus < 201103L
#error "the openbits headers need C++11"
#endif
#else
#include <wchar.h>
#ifdef OPENBITS_CHAR16
#include <uchar.h>
#endif
#endif

typedef uint8_t BYTE;
typedef uint8_t UCHAR;
typedef char CHAR;
typedef int16_t SHORT;
typedef uint16_t USHORT;
typedef uint16_t WORD;
typedef int32_t INT;
typedef uint32_t UINT;
typedef int32_t LONG;
typedef uint32_t ULONG;
typedef uint32_t DWORD;
typedef int32_t BOOL;
typedef int32_t INT32;
typedef uint32_t UINT32;
/* `long long` as on Windows: printf's %llu and %I64u-free samples then warn for neither 32 nor 64 bits. */
typedef long long INT64;
typedef unsigned long long UINT64;
typedef long long LONGLONG;
typedef unsigned long long ULONGLONG;
typedef long long LONG64;
typedef unsigned long long ULONG64;
typedef unsigned long long DWORD64;
typedef intptr_t INT_PTR;
typedef uintptr_t UINT_PTR;
typedef intptr_t LONG_PTR;
typedef uintptr_t ULONG_PTR;
typedef uintptr_t DWORD_PTR;
typedef size_t SIZE_T;
typedef void *LPVOID;
typedef const void *LPCVOID;
typedef void *PVOID;
typedef BYTE *LPBYTE;
typedef BYTE *PBYTE;
typedef DWORD *LPDWORD;
typedef DWORD *PDWORD;
typedef CHAR *LPSTR;
typedef CHAR *PSTR;
typedef const CHAR *LPCSTR;
typedef const CHAR *PCSTR;
typedef int32_t HRESULT;
typedef int32_t SCODE;
typedef DWORD LCID;
typedef WORD LANGID;
typedef LONG DISPID;
typedef USHORT VARTYPE;
typedef int16_t VARIANT_BOOL;
typedef double DATE;

#ifdef OPENBITS_CHAR16
typedef char16_t WCHAR;
#define OLESTR(text) u##text
#else
typedef wchar_t WCHAR;
#define OLESTR(text) L##text
#endif
typedef WCHAR OLECHAR;
typedef WCHAR *LPWSTR;
typedef WCHAR *PWSTR;
typedef WCHAR *LPOLESTR;
typedef WCHAR *BSTR;
typedef const WCHAR *LPCWSTR;
typedef const WCHAR *PCWSTR;
typedef const WCHAR *LPCOLESTR;

#ifndef TRUE
#define TRUE 1
#endif
#ifndef FALSE
#define FALSE 0
#endif
#define VARIANT_TRUE ((VARIANT_BOOL)-1)
#define VARIANT_FALSE ((VARIANT_BOOL)0)
#ifndef MAX_PATH
#define MAX_PATH 260
#endif

typedef struct _FILETIME {
    DWORD dwLowDateTime;
    DWORD dwHighDateTime;
} FILETIME, *PFILETIME, *LPFILETIME;

typedef union _LARGE_INTEGER {
    __extension__ struct {
        DWORD LowPart;
        LONG HighPart;
    };
    LONGLONG QuadPart;
} LARGE_INTEGER;

typedef union _ULARGE_INTEGER {
    __extension__ struct {
        DWORD LowPart;
        DWORD HighPart;
    };
    ULONGLONG QuadPart;
} ULARGE_INTEGER;

#ifndef GUID_DEFINED
#define GUID_DEFINED
typedef struct _GUID {
    uint32_t Data1;
    uint16_t Data2;
    uint16_t Data3;
    uint8_t Data4[8];
} GUID;
#endif
typedef GUID IID;
typedef GUID CLSID;
typedef GUID UUID;
typedef GUID *LPGUID;
typedef IID *LPIID;
typedef CLSID *LPCLSID;

#ifdef __cplusplus
#define REFGUID const GUID &
#define REFIID const IID &
#define REFCLSID const CLSID &
#define EXTERN_C extern "C"
#define OPENBITS_NULL nullptr
#else
#define REFGUID const GUID *
#define REFIID const IID *
#define REFCLSID const CLSID *
#define EXTERN_C extern
#define OPENBITS_NULL NULL
#endif

/* Identifiers are constants of the translation unit: no library of GUIDs is needed. */
#define OPENBITS_GUID(name, d1, d2, d3, b0, b1, b2, b3, b4, b5, b6, b7)                                                \
    static const GUID name __attribute__((unused)) = {d1, d2, d3, {b0, b1, b2, b3, b4, b5, b6, b7}}

/* Enumerations have 32 bits, and are signed in C++. */
#ifdef __cplusplus
#define OPENBITS_ENUM(name) enum name : int32_t
#else
#define OPENBITS_ENUM(name) enum name
#endif

/* One calling convention; no decorations. */
#define STDMETHODCALLTYPE
#define STDAPICALLTYPE
#define WINAPI
#define APIENTRY
#define CALLBACK

/* `C` view of interfaces: lpVtbl. Also for C++ where CINTERFACE is defined. */
#if !defined(__cplusplus) || defined(CINTERFACE)
#define OPENBITS_C_INTERFACES 1
#endif

/* Static inline functions that a translation unit may leave unused. */
#define OPENBITS_INLINE static inline __attribute__((unused))

#endif
