/* openbits: BSTR, VARIANT and IDispatch, as far as qmgr.h, deliveryoptimization.h and bitscfg.h need them.
 *
 * A BSTR is one block of malloc: eight bytes, of which the last four say the length in bytes without the terminator, then the
 * characters, then a zero. The library allocates and frees exactly so; SysFreeString fits BSTRs of either side.
 */
#ifndef OPENBITS_AUTOMATION_H
#define OPENBITS_AUTOMATION_H

#include "com.h"

/* ---- BSTR ---- */

OPENBITS_INLINE BSTR SysAllocStringByteLen(const char *text, UINT bytes) {
    char *block = (char *)malloc(8 + (size_t)bytes + sizeof(OLECHAR));
    if (block == OPENBITS_NULL) {
        return OPENBITS_NULL;
    }
    memset(block, 0, 8);
    memcpy(block + 4, &bytes, 4);
    if (text != OPENBITS_NULL) {
        memcpy(block + 8, text, bytes);
    } else {
        memset(block + 8, 0, bytes);
    }
    memset(block + 8 + bytes, 0, sizeof(OLECHAR));
    return (BSTR)(void *)(block + 8);
}
OPENBITS_INLINE BSTR SysAllocStringLen(const OLECHAR *text, UINT length) {
    if (length > 0x7FFFFFF0u / sizeof(OLECHAR)) {
        return OPENBITS_NULL;
    }
    return SysAllocStringByteLen((const char *)text, (UINT)(length * sizeof(OLECHAR)));
}
OPENBITS_INLINE BSTR SysAllocString(const OLECHAR *text) {
    UINT length = 0;
    if (text == OPENBITS_NULL) {
        return OPENBITS_NULL;
    }
    while (text[length] != 0) {
        length++;
    }
    return SysAllocStringLen(text, length);
}
OPENBITS_INLINE void SysFreeString(BSTR text) {
    if (text != OPENBITS_NULL) {
        free((char *)(void *)text - 8);
    }
}
/* Length in bytes; 0 for NULL. */
OPENBITS_INLINE UINT SysStringByteLen(BSTR text) {
    UINT bytes = 0;
    if (text != OPENBITS_NULL) {
        memcpy(&bytes, (const char *)(const void *)text - 4, 4);
    }
    return bytes;
}
/* Length in characters; 0 for NULL. */
OPENBITS_INLINE UINT SysStringLen(BSTR text) { return SysStringByteLen(text) / (UINT)sizeof(OLECHAR); }
OPENBITS_INLINE INT SysReAllocString(BSTR *target, const OLECHAR *text) {
    BSTR made = SysAllocString(text);
    if (made == OPENBITS_NULL && text != OPENBITS_NULL) {
        return FALSE;
    }
    SysFreeString(*target);
    *target = made;
    return TRUE;
}

/* ---- IDispatch: slots only; nothing of the library implements it ---- */

typedef struct ITypeInfo ITypeInfo;
typedef struct IDispatch IDispatch;

/* ---- VARIANT: 16 bytes of value behind 8 bytes of type ---- */

enum VARENUM {
    VT_EMPTY = 0,
    VT_NULL = 1,
    VT_I2 = 2,
    VT_I4 = 3,
    VT_R4 = 4,
    VT_R8 = 5,
    VT_DATE = 7,
    VT_BSTR = 8,
    VT_DISPATCH = 9,
    VT_ERROR = 10,
    VT_BOOL = 11,
    VT_VARIANT = 12,
    VT_UNKNOWN = 13,
    VT_I1 = 16,
    VT_UI1 = 17,
    VT_UI2 = 18,
    VT_UI4 = 19,
    VT_I8 = 20,
    VT_UI8 = 21,
    VT_INT = 22,
    VT_UINT = 23,
    VT_HRESULT = 25,
    VT_LPWSTR = 31,
    VT_ARRAY = 0x2000,
    VT_BYREF = 0x4000
};

typedef struct tagVARIANT VARIANT;
typedef VARIANT VARIANTARG;
struct tagVARIANT {
    VARTYPE vt;
    WORD wReserved1;
    WORD wReserved2;
    WORD wReserved3;
    __extension__ union {
        LONGLONG llVal;
        LONG lVal;
        BYTE bVal;
        SHORT iVal;
        float fltVal;
        double dblVal;
        VARIANT_BOOL boolVal;
        SCODE scode;
        DATE date;
        BSTR bstrVal;
        IUnknown *punkVal;
        IDispatch *pdispVal;
        void *parray;
        VARIANT *pvarVal;
        void *byref;
        CHAR cVal;
        USHORT uiVal;
        ULONG ulVal;
        ULONGLONG ullVal;
        INT intVal;
        UINT uintVal;
        struct {
            void *pvRecord;
            void *pRecInfo;
        } record;
    };
};
#define V_VT(v) ((v)->vt)
#define V_I2(v) ((v)->iVal)
#define V_I4(v) ((v)->lVal)
#define V_UI2(v) ((v)->uiVal)
#define V_UI4(v) ((v)->ulVal)
#define V_I8(v) ((v)->llVal)
#define V_UI8(v) ((v)->ullVal)
#define V_INT(v) ((v)->intVal)
#define V_UINT(v) ((v)->uintVal)
#define V_BOOL(v) ((v)->boolVal)
#define V_BSTR(v) ((v)->bstrVal)
#define V_UNKNOWN(v) ((v)->punkVal)
#define V_ERROR(v) ((v)->scode)

OPENBITS_INLINE void VariantInit(VARIANT *value) { memset(value, 0, sizeof *value); }
/* Frees a BSTR, releases an interface. DISP_E_BADVARTYPE for arrays and references, which openbits never makes. */
OPENBITS_INLINE HRESULT VariantClear(VARIANT *value) {
    if (value == OPENBITS_NULL) {
        return E_INVALIDARG;
    }
    if ((value->vt & ~0xFFF) != 0) {
        return DISP_E_BADVARTYPE;
    }
    if (value->vt == VT_BSTR) {
        SysFreeString(value->bstrVal);
    } else if ((value->vt == VT_UNKNOWN || value->vt == VT_DISPATCH) && value->punkVal != OPENBITS_NULL) {
#ifndef OPENBITS_C_INTERFACES
        value->punkVal->Release();
#else
        value->punkVal->lpVtbl->Release(value->punkVal);
#endif
    }
    VariantInit(value);
    return S_OK;
}

typedef struct tagDISPPARAMS {
    VARIANTARG *rgvarg;
    DISPID *rgdispidNamedArgs;
    UINT cArgs;
    UINT cNamedArgs;
} DISPPARAMS;

typedef struct tagEXCEPINFO {
    WORD wCode;
    WORD wReserved;
    BSTR bstrSource;
    BSTR bstrDescription;
    BSTR bstrHelpFile;
    DWORD dwHelpContext;
    PVOID pvReserved;
    HRESULT (*pfnDeferredFillIn)(struct tagEXCEPINFO *);
    SCODE scode;
} EXCEPINFO;

OPENBITS_GUID(IID_IDispatch, 0x00020400, 0x0000, 0x0000, 0xC0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x46);
#ifndef OPENBITS_C_INTERFACES
struct IDispatch : public IUnknown {
    virtual HRESULT STDMETHODCALLTYPE GetTypeInfoCount(UINT *pctinfo) = 0;
    virtual HRESULT STDMETHODCALLTYPE GetTypeInfo(UINT iTInfo, LCID lcid, ITypeInfo **ppTInfo) = 0;
    virtual HRESULT STDMETHODCALLTYPE GetIDsOfNames(REFIID riid, LPOLESTR *rgszNames, UINT cNames, LCID lcid,
                                                    DISPID *rgDispId) = 0;
    virtual HRESULT STDMETHODCALLTYPE Invoke(DISPID dispIdMember, REFIID riid, LCID lcid, WORD wFlags,
                                             DISPPARAMS *pDispParams, VARIANT *pVarResult, EXCEPINFO *pExcepInfo,
                                             UINT *puArgErr) = 0;

protected:
    ~IDispatch() = default;
};
#else
typedef struct IDispatchVtbl {
    HRESULT(STDMETHODCALLTYPE *QueryInterface)(IDispatch *This, REFIID riid, void **ppvObject);
    ULONG(STDMETHODCALLTYPE *AddRef)(IDispatch *This);
    ULONG(STDMETHODCALLTYPE *Release)(IDispatch *This);
    HRESULT(STDMETHODCALLTYPE *GetTypeInfoCount)(IDispatch *This, UINT *pctinfo);
    HRESULT(STDMETHODCALLTYPE *GetTypeInfo)(IDispatch *This, UINT iTInfo, LCID lcid, ITypeInfo **ppTInfo);
    HRESULT(STDMETHODCALLTYPE *GetIDsOfNames)(IDispatch *This, REFIID riid, LPOLESTR *rgszNames, UINT cNames, LCID lcid,
                                              DISPID *rgDispId);
    HRESULT(STDMETHODCALLTYPE *Invoke)(IDispatch *This, DISPID dispIdMember, REFIID riid, LCID lcid, WORD wFlags,
                                       DISPPARAMS *pDispParams, VARIANT *pVarResult, EXCEPINFO *pExcepInfo,
                                       UINT *puArgErr);
} IDispatchVtbl;
struct IDispatch {
    const IDispatchVtbl *lpVtbl;
};
#endif
#ifdef __cplusplus
OPENBITS_UUID(IDispatch, IID_IDispatch);
#endif

#endif
