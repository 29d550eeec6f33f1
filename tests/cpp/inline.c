/* The functions that the headers define themselves. Valid C and C++; `cargo xtask headers` runs it in every flavour. */
#include <windows.h>

#include <stdio.h>

#ifdef __cplusplus
#define REF(id) (id)
#else
#define REF(id) (&(id))
#endif

static int failures = 0;
static void check(int good, const char *what, int line) {
    if (!good) {
        printf("line %d: %s\n", line, what);
        failures++;
    }
}
#define CHECK(condition) check((condition) ? 1 : 0, #condition, __LINE__)

/* What the library would be asked. */
static uint32_t asked_bytes = 0;
HRESULT OpenbitsCreateInstance(const GUID *clsid, void *outer, uint32_t clsctx, const GUID *iid, void **object,
                               uint32_t wchar_bytes) {
    (void)outer;
    (void)clsctx;
    asked_bytes = wchar_bytes;
    *object = OPENBITS_NULL;
    return memcmp(clsid, iid, sizeof *clsid) == 0 ? S_OK : REGDB_E_CLASSNOTREG;
}

static int same(LPCWSTR a, const char *b) {
    size_t i = 0;
    while (b[i] != 0 && a[i] == (WCHAR)b[i]) {
        i++;
    }
    return b[i] == 0 && a[i] == 0;
}

static void identifiers(void) {
    static const GUID id = {0x5ce34c0d, 0x0dc9, 0x4c1f, {0x89, 0x7c, 0xda, 0xa1, 0xb7, 0x8c, 0xee, 0x7c}};
    WCHAR text[40];
    GUID back;
    LPOLESTR made = OPENBITS_NULL;
    CHECK(StringFromGUID2(REF(id), text, 39) == 39);
    CHECK(same(text, "{5CE34C0D-0DC9-4C1F-897C-DAA1B78CEE7C}"));
    CHECK(StringFromGUID2(REF(id), text, 38) == 0);
    CHECK(CLSIDFromString(text, &back) == S_OK);
    CHECK(IsEqualGUID(REF(back), REF(id)));
    CHECK(CLSIDFromString(OLESTR("{5ce34c0d-0dc9-4c1f-897c-daa1b78cee7c}"), &back) == S_OK);
    CHECK(IsEqualGUID(REF(back), REF(id)));
    CHECK(CLSIDFromString(OLESTR("5ce34c0d-0dc9-4c1f-897c-daa1b78cee7c"), &back) == CO_E_CLASSSTRING);
    CHECK(CLSIDFromString(OLESTR("{5ce34c0d-0dc9-4c1f-897c-daa1b78cee7c}x"), &back) == CO_E_CLASSSTRING);
    CHECK(CLSIDFromString(OLESTR("{5ce34c0d-0dc9-4c1f-897c-daa1b78cee7"), &back) == CO_E_CLASSSTRING);
    CHECK(CLSIDFromString(OLESTR("{5ce34g0d-0dc9-4c1f-897c-daa1b78cee7c}"), &back) == CO_E_CLASSSTRING);
    CHECK(CLSIDFromString(OLESTR(""), &back) == CO_E_CLASSSTRING);
    CHECK(IIDFromString(OPENBITS_NULL, &back) == S_OK && IsEqualGUID(REF(back), REF(GUID_NULL)));
    CHECK(StringFromCLSID(REF(id), &made) == S_OK && same(made, "{5CE34C0D-0DC9-4C1F-897C-DAA1B78CEE7C}"));
    CoTaskMemFree(made);
}

static void strings(void) {
    BSTR text = SysAllocString(OLESTR("four"));
    VARIANT value;
    uint32_t prefix;
    CHECK(sizeof(VARIANT) == 24 && offsetof(VARIANT, bstrVal) == 8);
    CHECK(SysStringLen(text) == 4 && SysStringByteLen(text) == 4 * sizeof(WCHAR) && same(text, "four"));
    memcpy(&prefix, (char *)text - 4, 4);
    CHECK(prefix == 4 * sizeof(WCHAR));
    CHECK(SysReAllocString(&text, OLESTR("")) == TRUE && SysStringLen(text) == 0 && text[0] == 0);
    SysFreeString(text);
    SysFreeString(OPENBITS_NULL);
    CHECK(SysAllocString(OPENBITS_NULL) == OPENBITS_NULL && SysStringLen(OPENBITS_NULL) == 0);
    VariantInit(&value);
    CHECK(value.vt == VT_EMPTY);
    V_VT(&value) = VT_BSTR;
    V_BSTR(&value) = SysAllocStringLen(OLESTR("abc"), 2);
    CHECK(same(V_BSTR(&value), "ab"));
    CHECK(VariantClear(&value) == S_OK && value.vt == VT_EMPTY);
    value.vt = VT_BYREF | VT_BSTR;
    CHECK(VariantClear(&value) == DISP_E_BADVARTYPE);
}

static void arrays(void) {
    const BYTE sample[] = {1, 2, 3, 250};
    SAFEARRAY *array = SafeArrayCreateVector(VT_UI1, 0, 4);
    SAFEARRAY *copy = OPENBITS_NULL;
    SAFEARRAYBOUND bounds[2] = {{3, -1}, {1, 0}};
    VARIANT value, second;
    VARTYPE type = VT_EMPTY;
    LONG index = 0, bound = 7;
    BYTE byte = 9;
    void *data = OPENBITS_NULL;
    CHECK(array != OPENBITS_NULL && SafeArrayGetDim(array) == 1 && SafeArrayGetElemsize(array) == 1);
    CHECK(SafeArrayGetVartype(array, &type) == S_OK && type == VT_UI1);
    CHECK(SafeArrayGetLBound(array, 1, &bound) == S_OK && bound == 0);
    CHECK(SafeArrayGetUBound(array, 1, &bound) == S_OK && bound == 3);
    CHECK(SafeArrayGetUBound(array, 0, &bound) == DISP_E_BADINDEX && SafeArrayGetUBound(array, 2, &bound) == DISP_E_BADINDEX);
    CHECK(SafeArrayGetElement(array, &index, &byte) == S_OK && byte == 0);
    for (index = 0; index < 4; index++) {
        CHECK(SafeArrayPutElement(array, &index, &sample[index]) == S_OK);
    }
    CHECK(SafeArrayPutElement(array, &index, sample) == DISP_E_BADINDEX);
    index = -1;
    CHECK(SafeArrayGetElement(array, &index, &byte) == DISP_E_BADINDEX && byte == 0);
    CHECK(SafeArrayAccessData(array, &data) == S_OK && memcmp(data, sample, sizeof sample) == 0 && array->cLocks == 1);
    VariantInit(&value);
    V_VT(&value) = VT_ARRAY | VT_UI1;
    V_ARRAY(&value) = array;
    CHECK(V_ISARRAY(&value) && !V_ISBYREF(&value));
    CHECK(VariantClear(&value) == DISP_E_ARRAYISLOCKED && value.vt == (VT_ARRAY | VT_UI1));
    CHECK(SafeArrayUnaccessData(array) == S_OK && SafeArrayUnaccessData(array) == E_UNEXPECTED);
    VariantInit(&second);
    CHECK(VariantCopy(&second, &value) == S_OK && second.vt == value.vt && V_ARRAY(&second) != array);
    CHECK(VariantClear(&value) == S_OK && value.vt == VT_EMPTY && VariantCopy(&second, &second) == S_OK);
    index = 3;
    CHECK(SafeArrayGetElement(V_ARRAY(&second), &index, &byte) == S_OK && byte == 250);
    CHECK(VariantCopy(&second, &value) == S_OK && second.vt == VT_EMPTY);
    /* A descriptor that is a variable. */
    {
        SAFEARRAY own = {1, FADF_STATIC, 1, 0, OPENBITS_NULL, {{4, 0}}};
        BYTE bytes[4] = {1, 2, 3, 4};
        own.pvData = bytes;
        V_VT(&value) = VT_ARRAY | VT_UI1;
        V_ARRAY(&value) = &own;
        CHECK(SafeArrayCopy(&own, &copy) == E_INVALIDARG && copy == OPENBITS_NULL);
        CHECK(VariantClear(&value) == S_OK && bytes[3] == 4);
    }
    /* Other bounds, other elements, and what is refused. */
    array = SafeArrayCreate(VT_UI8, 1, bounds);
    CHECK(SafeArrayGetLBound(array, 1, &bound) == S_OK && bound == -1);
    CHECK(SafeArrayGetUBound(array, 1, &bound) == S_OK && bound == 1 && SafeArrayGetElemsize(array) == 8);
    CHECK(SafeArrayCopy(array, &copy) == S_OK && copy != array && copy->rgsabound[0].cElements == 3);
    CHECK(SafeArrayDestroy(array) == S_OK && SafeArrayDestroy(copy) == S_OK && SafeArrayDestroy(OPENBITS_NULL) == S_OK);
    array = SafeArrayCreateVector(VT_UI1, 5, 0);
    CHECK(array != OPENBITS_NULL && SafeArrayGetUBound(array, 1, &bound) == S_OK && bound == 4);
    CHECK(SafeArrayDestroy(array) == S_OK);
    CHECK(SafeArrayCreate(VT_UI1, 2, bounds) == OPENBITS_NULL && SafeArrayCreateVector(VT_BSTR, 0, 1) == OPENBITS_NULL);
    CHECK(SafeArrayCreateVector(VT_UI8, 0, 0xFFFFFFFFu) == OPENBITS_NULL);
    CHECK(SafeArrayAccessData(OPENBITS_NULL, &data) == E_INVALIDARG && data == OPENBITS_NULL);
    V_VT(&value) = VT_ARRAY | VT_BSTR;
    CHECK(VariantClear(&value) == DISP_E_BADVARTYPE);
    /* Copies of the rest. */
    V_VT(&value) = VT_BSTR;
    V_BSTR(&value) = SysAllocStringLen(OLESTR("a\0b"), 3);
    CHECK(VariantCopy(&second, &value) == S_OK && V_BSTR(&second) != V_BSTR(&value) && SysStringLen(V_BSTR(&second)) == 3);
    CHECK(V_BSTR(&second)[2] == (WCHAR)'b' && VariantClear(&value) == S_OK && VariantClear(&second) == S_OK);
    V_VT(&value) = VT_BOOL;
    V_BOOL(&value) = VARIANT_TRUE;
    CHECK(VariantCopy(&second, &value) == S_OK && V_BOOL(&second) == VARIANT_TRUE && V_BOOL(&second) == -1);
    V_VT(&value) = VT_UNKNOWN;
    V_UNKNOWN(&value) = OPENBITS_NULL;
    CHECK(VariantCopy(&second, &value) == S_OK && V_VT(&second) == VT_UNKNOWN && VariantClear(&second) == S_OK);
    CHECK(VariantCopy(OPENBITS_NULL, &value) == E_INVALIDARG && VariantCopy(&value, OPENBITS_NULL) == E_INVALIDARG);
}

static void memory_and_start(void) {
    void *p = CoTaskMemAlloc(0);
    void *object = &p;
    CHECK(p != OPENBITS_NULL);
    p = CoTaskMemRealloc(p, 100);
    CHECK(p != OPENBITS_NULL && CoTaskMemRealloc(p, 0) == OPENBITS_NULL);
    CoTaskMemFree(OPENBITS_NULL);
    CHECK(CoInitialize(OPENBITS_NULL) == S_OK && CoInitializeEx(OPENBITS_NULL, COINIT_APARTMENTTHREADED) == S_OK);
    CHECK(CoInitializeSecurity(OPENBITS_NULL, -1, OPENBITS_NULL, OPENBITS_NULL, RPC_C_AUTHN_LEVEL_CONNECT,
                               RPC_C_IMP_LEVEL_IMPERSONATE, OPENBITS_NULL, EOAC_NONE, OPENBITS_NULL) == S_OK);
    CHECK(CoCreateInstance(REF(GUID_NULL), OPENBITS_NULL, CLSCTX_LOCAL_SERVER, REF(IID_IUnknown), &object) ==
          REGDB_E_CLASSNOTREG);
    CHECK(object == OPENBITS_NULL && asked_bytes == sizeof(WCHAR) && asked_bytes == EXPECTED_WCHAR);
    CHECK(CoSetProxyBlanket(OPENBITS_NULL, 0, 0, OPENBITS_NULL, 0, 0, OPENBITS_NULL, 0) == E_INVALIDARG);
    CoUninitialize();
}

static void codes(void) {
    SYSTEMTIME parts;
    FILETIME epoch;
    LONG counter = 1;
    switch (E_FAIL) { /* codes are constants for the compiler */
    case S_OK:
        CHECK(0);
        break;
    case E_FAIL:
        break;
    }
    CHECK(SUCCEEDED(S_FALSE) && FAILED(E_FAIL) && HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND) == (HRESULT)0x80070002);
    CHECK(HRESULT_FROM_WIN32(ERROR_SUCCESS) == S_OK && HRESULT_FROM_WIN32(E_FAIL) == E_FAIL);
    CHECK(MAKE_HRESULT(SEVERITY_ERROR, FACILITY_BACKGROUNDCOPY, 1) == (HRESULT)0x80200001);
    CHECK(HRESULT_FACILITY((HRESULT)0x80190194) == FACILITY_HTTP && HRESULT_CODE((HRESULT)0x80190194) == 404);
    epoch.dwHighDateTime = (DWORD)(116444736000000000ULL >> 32);
    epoch.dwLowDateTime = (DWORD)116444736000000000ULL;
    CHECK(FileTimeToSystemTime(&epoch, &parts) && parts.wYear == 1970 && parts.wMonth == 1 && parts.wDay == 1);
    CHECK(InterlockedIncrement(&counter) == 2 && InterlockedDecrement(&counter) == 1);
    CHECK(InterlockedCompareExchange(&counter, 7, 1) == 1 && counter == 7);
    CHECK(GetTickCount64() > 0);
    Sleep(1);
}

int main(void) {
    identifiers();
    strings();
    arrays();
    memory_and_start();
    codes();
    return failures == 0 ? 0 : 1;
}
