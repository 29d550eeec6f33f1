/* openbits shim: what existing sources expect under this name. */
#pragma once
#include "../com.h"
#include "../stream.h"
