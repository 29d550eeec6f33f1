/* openbits shim: what existing sources expect under this name. */
#pragma once
#include "../automation.h"
#include "../stream.h"

/* Windows sources write `interface IFoo`; a short common word, so only sources that ask for this header get it. */
#ifndef interface
#define interface struct
#endif
#ifdef __cplusplus
#define DECLARE_INTERFACE(name) struct name
#define DECLARE_INTERFACE_(name, base) struct name : public base
/* The identifier is given afterwards: OPENBITS_UUID(IFoo, IID_IFoo); */
#define MIDL_INTERFACE(uuid) struct
#endif
#define DECLSPEC_UUID(uuid)
#define DECLSPEC_NOVTABLE
#define THIS_
#define THIS void
