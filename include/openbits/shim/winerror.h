/* openbits shim: what existing sources expect under this name. */
#pragma once
#include "../types.h"

#include "../hresult.h"
