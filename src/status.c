/*
 * status.c - names of statuses, version
 */
#include "csp.h"

const char *csp_status_string(csp_status status)
{
    switch (status) {
    case CSP_OK:
        return "ok";
    case CSP_E_NULL:
        return "a required pointer is NULL";
    case CSP_E_SHAPE:
        return "a count is zero or two counts disagree";
    case CSP_E_GQA:
        return "query heads are no multiple of KV heads";
    case CSP_E_SPAN:
        return "modality spans overlap, are unordered or out of range";
    case CSP_E_STRIDE:
        return "a stride is too small, or rows are not contiguous";
    case CSP_E_OVERFLOW:
        return "a size exceeds the address space or a counter";
    case CSP_E_DTYPE:
        return "unknown or unsuitable element type";
    case CSP_E_CONFIG:
        return "a setting is out of its range";
    case CSP_E_BUDGET:
        return "protected tokens or lists exceed the budget";
    case CSP_E_WORKSPACE:
        return "the workspace is too small";
    case CSP_E_CAPACITY:
        return "an output array is too small";
    case CSP_E_NOT_FINITE:
        return "NaN or infinity where a number is needed";
    case CSP_E_OVERLAP:
        return "memory that must be apart is not";
    case CSP_E_INDEX:
        return "an index list is out of range or does not ascend";
    case CSP_E_MEMORY:
        return "out of memory";
    case CSP_E_STATE:
        return "the pruner is not in the state this call needs";
    case CSP_E_UNSUPPORTED:
        return "not supported by this build or CPU";
    }
    return "unknown status";
}

int csp_version(void)
{
    return CSP_VERSION_MAJOR * 10000 + CSP_VERSION_MINOR * 100 +
           CSP_VERSION_PATCH;
}
