/* openbits: types of VARIANTs, and SAFEARRAY with one dimension and elements of a fixed size, as deliveryoptimization.h needs them
 * (SecurityContext is a VT_ARRAY | VT_UI1).
 *
 * An array is two blocks of malloc: the elements; and the descriptor, behind 16 bytes of which the last four say the type of the
 * elements. The library reads arrays of programs and never makes one; arrays whose descriptor is a program's own variable
 * (FADF_STATIC) are read alike.
 */
#ifndef OPENBITS_SAFEARRAY_H
#define OPENBITS_SAFEARRAY_H

#include "com.h"

enum VARENUM {
    VT_EMPTY = 0,
    VT_NULL = 1,
    VT_I2 = 2,
    VT_I4 = 3,
    VT_R4 = 4,
    VT_R8 = 5,
    VT_CY = 6,
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
    VT_BYREF = 0x4000,
    VT_TYPEMASK = 0xFFF
};

typedef struct tagSAFEARRAYBOUND {
    ULONG cElements;
    LONG lLbound;
} SAFEARRAYBOUND, *LPSAFEARRAYBOUND;

typedef struct tagSAFEARRAY {
    USHORT cDims;
    USHORT fFeatures;
    ULONG cbElements;
    ULONG cLocks;
    PVOID pvData;
    SAFEARRAYBOUND rgsabound[1];
} SAFEARRAY, *LPSAFEARRAY;

#define FADF_AUTO 0x1
#define FADF_STATIC 0x2
#define FADF_EMBEDDED 0x4
#define FADF_FIXEDSIZE 0x10
#define FADF_HAVEVARTYPE 0x80

/* Bytes of an element; 0 for types that arrays of these headers do not have. */
OPENBITS_INLINE ULONG OpenbitsElementBytes(VARTYPE type) {
    switch (type) {
    case VT_I1:
    case VT_UI1:
        return 1;
    case VT_I2:
    case VT_UI2:
    case VT_BOOL:
        return 2;
    case VT_I4:
    case VT_UI4:
    case VT_INT:
    case VT_UINT:
    case VT_R4:
    case VT_ERROR:
        return 4;
    case VT_I8:
    case VT_UI8:
    case VT_R8:
    case VT_DATE:
        return 8;
    default:
        return 0;
    }
}

/* Zeroed elements. NULL for more dimensions than one, for types without a fixed size, and without memory. */
OPENBITS_INLINE SAFEARRAY *SafeArrayCreate(VARTYPE type, UINT dimensions, SAFEARRAYBOUND *bounds) {
    const ULONG bytes = OpenbitsElementBytes(type);
    const uint32_t kind = type;
    char *block;
    SAFEARRAY *array;
    if (dimensions != 1 || bounds == OPENBITS_NULL || bytes == 0 || bounds->cElements > 0x7FFFFFFFu / bytes) {
        return OPENBITS_NULL;
    }
    block = (char *)malloc(16 + sizeof(SAFEARRAY));
    if (block == OPENBITS_NULL) {
        return OPENBITS_NULL;
    }
    memset(block, 0, 16 + sizeof(SAFEARRAY));
    memcpy(block + 12, &kind, 4);
    array = (SAFEARRAY *)(void *)(block + 16);
    array->cDims = 1;
    array->fFeatures = FADF_HAVEVARTYPE;
    array->cbElements = bytes;
    array->rgsabound[0] = *bounds;
    array->pvData = calloc(bounds->cElements == 0 ? 1 : bounds->cElements, bytes);
    if (array->pvData == OPENBITS_NULL) {
        free(block);
        return OPENBITS_NULL;
    }
    return array;
}
OPENBITS_INLINE SAFEARRAY *SafeArrayCreateVector(VARTYPE type, LONG lower, ULONG elements) {
    SAFEARRAYBOUND bound;
    bound.cElements = elements;
    bound.lLbound = lower;
    return SafeArrayCreate(type, 1, &bound);
}
/* DISP_E_ARRAYISLOCKED while somebody has the elements. What the features say is a variable is not freed. */
OPENBITS_INLINE HRESULT SafeArrayDestroy(SAFEARRAY *array) {
    if (array == OPENBITS_NULL) {
        return S_OK;
    }
    if (array->cLocks != 0) {
        return DISP_E_ARRAYISLOCKED;
    }
    if ((array->fFeatures & (FADF_AUTO | FADF_STATIC | FADF_EMBEDDED)) != 0) {
        return S_OK;
    }
    free(array->pvData);
    free((char *)(void *)array - 16);
    return S_OK;
}

OPENBITS_INLINE HRESULT SafeArrayLock(SAFEARRAY *array) {
    if (array == OPENBITS_NULL) {
        return E_INVALIDARG;
    }
    if (array->cLocks >= 0xFFFF) {
        return E_UNEXPECTED;
    }
    array->cLocks++;
    return S_OK;
}
OPENBITS_INLINE HRESULT SafeArrayUnlock(SAFEARRAY *array) {
    if (array == OPENBITS_NULL) {
        return E_INVALIDARG;
    }
    if (array->cLocks == 0) {
        return E_UNEXPECTED;
    }
    array->cLocks--;
    return S_OK;
}
/* The elements, locked until SafeArrayUnaccessData. */
OPENBITS_INLINE HRESULT SafeArrayAccessData(SAFEARRAY *array, void **elements) {
    HRESULT hr;
    if (elements == OPENBITS_NULL) {
        return E_INVALIDARG;
    }
    hr = SafeArrayLock(array);
    *elements = hr == S_OK ? array->pvData : OPENBITS_NULL;
    return hr;
}
OPENBITS_INLINE HRESULT SafeArrayUnaccessData(SAFEARRAY *array) { return SafeArrayUnlock(array); }

OPENBITS_INLINE UINT SafeArrayGetDim(SAFEARRAY *array) { return array == OPENBITS_NULL ? 0 : array->cDims; }
OPENBITS_INLINE UINT SafeArrayGetElemsize(SAFEARRAY *array) { return array == OPENBITS_NULL ? 0 : array->cbElements; }
OPENBITS_INLINE HRESULT SafeArrayGetVartype(SAFEARRAY *array, VARTYPE *type) {
    uint32_t kind = VT_EMPTY;
    if (array == OPENBITS_NULL || type == OPENBITS_NULL || (array->fFeatures & FADF_HAVEVARTYPE) == 0) {
        return E_INVALIDARG;
    }
    memcpy(&kind, (const char *)(const void *)array - 4, 4);
    *type = (VARTYPE)kind;
    return S_OK;
}
/* Index of the first element. Dimensions are counted from 1; there is no other. */
OPENBITS_INLINE HRESULT SafeArrayGetLBound(SAFEARRAY *array, UINT dimension, LONG *lower) {
    if (array == OPENBITS_NULL || lower == OPENBITS_NULL) {
        return E_INVALIDARG;
    }
    if (dimension != 1 || array->cDims != 1) {
        return DISP_E_BADINDEX;
    }
    *lower = array->rgsabound[0].lLbound;
    return S_OK;
}
/* Index of the last element: one less than the first where there are none. */
OPENBITS_INLINE HRESULT SafeArrayGetUBound(SAFEARRAY *array, UINT dimension, LONG *upper) {
    HRESULT hr = SafeArrayGetLBound(array, dimension, upper);
    if (hr == S_OK) {
        *upper = (LONG)((ULONG)*upper + array->rgsabound[0].cElements - 1);
    }
    return hr;
}
/* Place of the element; DISP_E_BADINDEX outside the bounds. */
OPENBITS_INLINE HRESULT SafeArrayPtrOfIndex(SAFEARRAY *array, const LONG *index, void **element) {
    int64_t at;
    if (array == OPENBITS_NULL || index == OPENBITS_NULL || element == OPENBITS_NULL) {
        return E_INVALIDARG;
    }
    at = (int64_t)*index - array->rgsabound[0].lLbound;
    if (array->cDims != 1 || at < 0 || at >= (int64_t)array->rgsabound[0].cElements) {
        return DISP_E_BADINDEX;
    }
    *element = (char *)array->pvData + (size_t)at * array->cbElements;
    return S_OK;
}
OPENBITS_INLINE HRESULT SafeArrayPutElement(SAFEARRAY *array, const LONG *index, const void *value) {
    void *element = OPENBITS_NULL;
    HRESULT hr = value == OPENBITS_NULL ? E_INVALIDARG : SafeArrayPtrOfIndex(array, index, &element);
    if (hr == S_OK) {
        memcpy(element, value, array->cbElements);
    }
    return hr;
}
OPENBITS_INLINE HRESULT SafeArrayGetElement(SAFEARRAY *array, const LONG *index, void *value) {
    void *element = OPENBITS_NULL;
    HRESULT hr = value == OPENBITS_NULL ? E_INVALIDARG : SafeArrayPtrOfIndex(array, index, &element);
    if (hr == S_OK) {
        memcpy(value, element, array->cbElements);
    }
    return hr;
}
/* A copy of its own. E_INVALIDARG for an array that these functions did not make. */
OPENBITS_INLINE HRESULT SafeArrayCopy(SAFEARRAY *array, SAFEARRAY **copy) {
    VARTYPE type = VT_EMPTY;
    HRESULT hr;
    if (copy == OPENBITS_NULL) {
        return E_INVALIDARG;
    }
    *copy = OPENBITS_NULL;
    if (array == OPENBITS_NULL) {
        return S_OK;
    }
    hr = SafeArrayGetVartype(array, &type);
    if (hr != S_OK || array->cbElements != OpenbitsElementBytes(type)) {
        return E_INVALIDARG;
    }
    *copy = SafeArrayCreate(type, array->cDims, array->rgsabound);
    if (*copy == OPENBITS_NULL) {
        return E_OUTOFMEMORY;
    }
    memcpy((*copy)->pvData, array->pvData, (size_t)array->rgsabound[0].cElements * array->cbElements);
    return S_OK;
}

#endif
