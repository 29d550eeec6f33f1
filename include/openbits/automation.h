/* openbits: BSTR, VARIANT and IDispatch (and SAFEARRAY by safearray.h), as far as qmgr.h, deliveryoptimization.h and bitscfg.h need them.
 *
 * A BSTR is one block of malloc: eight bytes, of which the last four say the length in bytes without the terminator, then the
 * characters, then a zero. The library allocates and frees exactly so; SysFreeString fits BSTRs of either side.
 */
#ifndef OPENBITS_AUTOMATION_H
#define OPENBITS_AUTOMATION_H

#include "com.h"

#include "safearray.h"

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
        SAFEARRAY *parray;
        VARIANT *pvarVal;
        void *byref;
        SAFEARRAY **pparray;
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
#define V_I1(v) ((v)->cVal)
#define V_UI1(v) ((v)->bVal)
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
#define V_DISPATCH(v) ((v)->pdispVal)
#define V_ERROR(v) ((v)->scode)
#define V_R4(v) ((v)->fltVal)
#define V_R8(v) ((v)->dblVal)
#define V_DATE(v) ((v)->date)
#define V_ARRAY(v) ((v)->parray)
#define V_BYREF(v) ((v)->byref)
#define V_ISARRAY(v) (((v)->vt & VT_ARRAY) != 0)
#define V_ISBYREF(v) (((v)->vt & VT_BYREF) != 0)

OPENBITS_INLINE void VariantInit(VARIANT *value) { memset(value, 0, sizeof *value); }
/* Frees a BSTR or an array, releases an interface. DISP_E_BADVARTYPE for references and for arrays of what has no fixed size, which
 * openbits never makes; DISP_E_ARRAYISLOCKED for an array whose elements somebody has. */
OPENBITS_INLINE HRESULT VariantClear(VARIANT *value) {
    if (value == OPENBITS_NULL) {
        return E_INVALIDARG;
    }
    if ((value->vt & ~(VT_TYPEMASK | VT_ARRAY)) != 0) {
        return DISP_E_BADVARTYPE;
    }
    if ((value->vt & VT_ARRAY) != 0) {
        HRESULT hr = OpenbitsElementBytes(value->vt & VT_TYPEMASK) == 0 ? DISP_E_BADVARTYPE : SafeArrayDestroy(value->parray);
        if (hr != S_OK) {
            return hr;
        }
    } else if (value->vt == VT_BSTR) {
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
/* Clears the target, and makes it a copy of its own: a new BSTR or array, one more reference. What is by reference stays so. The target
 * is empty after a failure, but for one of clearing it. */
OPENBITS_INLINE HRESULT VariantCopy(VARIANTARG *target, const VARIANTARG *source) {
    HRESULT hr;
    if (source == OPENBITS_NULL || target == OPENBITS_NULL) {
        return E_INVALIDARG;
    }
    if (target == source) {
        return S_OK;
    }
    hr = VariantClear(target);
    if (hr != S_OK) {
        return hr;
    }
    *target = *source;
    if ((source->vt & VT_BYREF) != 0) {
        return S_OK;
    }
    if ((source->vt & VT_ARRAY) != 0) {
        hr = SafeArrayCopy(source->parray, &target->parray);
    } else if (source->vt == VT_BSTR && source->bstrVal != OPENBITS_NULL) {
        target->bstrVal = SysAllocStringByteLen((const char *)(const void *)source->bstrVal, SysStringByteLen(source->bstrVal));
        hr = target->bstrVal == OPENBITS_NULL ? E_OUTOFMEMORY : S_OK;
    } else if ((source->vt == VT_UNKNOWN || source->vt == VT_DISPATCH) && source->punkVal != OPENBITS_NULL) {
#ifndef OPENBITS_C_INTERFACES
        source->punkVal->AddRef();
#else
        source->punkVal->lpVtbl->AddRef(source->punkVal);
#endif
    }
    if (hr != S_OK) {
        VariantInit(target);
    }
    return hr;
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
