/* openbits shim: enough of <windows.h> for programs that speak to the transfer service, and no more. No files, events,
 * windows or registry: programs that use those need a real port. What is here has the documented meaning.
 */
#pragma once
/* -std=c11 alone hides POSIX. */
#if !defined(__cplusplus) && !defined(_GNU_SOURCE) && !defined(_DEFAULT_SOURCE)
#define _DEFAULT_SOURCE
#endif
#include <sched.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "objbase.h"

#include "sal.h"

#ifndef NULL
#define NULL 0
#endif
#define INFINITE 0xFFFFFFFFu
#define VOID void
#define CONST const
typedef uint8_t BOOLEAN;
typedef void *HANDLE;
typedef BOOL *LPBOOL;
typedef LONG *LPLONG;
#define __stdcall
#define __cdecl
#define UNREFERENCED_PARAMETER(p) ((void)(p))

#ifdef OPENBITS_CHAR16
#define TEXT(text) u##text
#else
#define TEXT(text) L##text
#endif
typedef WCHAR TCHAR;
typedef LPWSTR LPTSTR;
typedef LPCWSTR LPCTSTR;

#define ZeroMemory(p, n) memset((p), 0, (n))
#define CopyMemory(to, from, n) memcpy((to), (from), (n))
#define FillMemory(p, n, c) memset((p), (c), (n))
#define ARRAYSIZE(a) (sizeof(a) / sizeof((a)[0]))

#define LOWORD(value) ((WORD)((DWORD)(value) & 0xFFFF))
#define HIWORD(value) ((WORD)((DWORD)(value) >> 16))
#define LANG_NEUTRAL 0x00
#define LANG_ENGLISH 0x09
#define SUBLANG_NEUTRAL 0x00
#define SUBLANG_DEFAULT 0x01
#define SUBLANG_ENGLISH_US 0x01
#define MAKELANGID(primary, sub) ((WORD)((WORD)(sub) << 10 | (WORD)(primary)))
#define MAKELCID(language, sort) ((DWORD)(sort) << 16 | (DWORD)(language))
#define LANGIDFROMLCID(locale) ((WORD)(locale))
/* Texts of the service are English. */
OPENBITS_INLINE LCID GetThreadLocale(void) { return 0x0409; }
OPENBITS_INLINE LANGID GetUserDefaultLangID(void) { return 0x0409; }
OPENBITS_INLINE LANGID GetSystemDefaultLangID(void) { return 0x0409; }

/* Waits `milliseconds`; 0 gives the processor to others. */
OPENBITS_INLINE void Sleep(DWORD milliseconds) {
    struct timespec wait;
    if (milliseconds == 0) {
        sched_yield();
        return;
    }
    wait.tv_sec = milliseconds == INFINITE ? 0x7FFFFFFF : (time_t)(milliseconds / 1000);
    wait.tv_nsec = (long)(milliseconds % 1000) * 1000000L;
    while (nanosleep(&wait, &wait) != 0) {
    }
}
/* Milliseconds since the machine started. */
OPENBITS_INLINE ULONGLONG GetTickCount64(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (ULONGLONG)now.tv_sec * 1000u + (ULONGLONG)now.tv_nsec / 1000000u;
}
OPENBITS_INLINE DWORD GetTickCount(void) { return (DWORD)GetTickCount64(); }
OPENBITS_INLINE DWORD GetCurrentProcessId(void) { return (DWORD)getpid(); }

OPENBITS_INLINE LONG InterlockedIncrement(LONG volatile *value) { return __atomic_add_fetch(value, 1, __ATOMIC_SEQ_CST); }
OPENBITS_INLINE LONG InterlockedDecrement(LONG volatile *value) { return __atomic_sub_fetch(value, 1, __ATOMIC_SEQ_CST); }
OPENBITS_INLINE LONG InterlockedExchange(LONG volatile *value, LONG next) {
    return __atomic_exchange_n(value, next, __ATOMIC_SEQ_CST);
}
OPENBITS_INLINE LONG InterlockedExchangeAdd(LONG volatile *value, LONG more) {
    return __atomic_fetch_add(value, more, __ATOMIC_SEQ_CST);
}
OPENBITS_INLINE LONG InterlockedCompareExchange(LONG volatile *value, LONG next, LONG expected) {
    __atomic_compare_exchange_n(value, &expected, next, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return expected;
}

typedef struct _SYSTEMTIME {
    WORD wYear;
    WORD wMonth;
    WORD wDayOfWeek;
    WORD wDay;
    WORD wHour;
    WORD wMinute;
    WORD wSecond;
    WORD wMilliseconds;
} SYSTEMTIME, *PSYSTEMTIME, *LPSYSTEMTIME;

/* FILETIME counts 100 ns since 1601-01-01 UTC. */
OPENBITS_INLINE BOOL FileTimeToSystemTime(const FILETIME *from, SYSTEMTIME *to) {
    const ULONGLONG ticks = (ULONGLONG)from->dwHighDateTime << 32 | from->dwLowDateTime;
    const time_t seconds = (time_t)(ticks / 10000000u) - (time_t)11644473600LL;
    struct tm parts;
    if (gmtime_r(&seconds, &parts) == OPENBITS_NULL) {
        return FALSE;
    }
    to->wYear = (WORD)(parts.tm_year + 1900);
    to->wMonth = (WORD)(parts.tm_mon + 1);
    to->wDayOfWeek = (WORD)parts.tm_wday;
    to->wDay = (WORD)parts.tm_mday;
    to->wHour = (WORD)parts.tm_hour;
    to->wMinute = (WORD)parts.tm_min;
    to->wSecond = (WORD)parts.tm_sec;
    to->wMilliseconds = (WORD)(ticks / 10000u % 1000u);
    return TRUE;
}
