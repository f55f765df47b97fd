// err.c -- errors in words.

#include "plx/types.h"

const char *plx_err_str(enum plx_err err)
{
    switch (err) {
    case PLX_OK:
        return "success";
    case PLX_ERR_AGAIN:
        return "nothing was done: a resource is full for now";
    case PLX_ERR_CLOSED:
        return "the stream or connection is over";
    case PLX_ERR_INVALID:
        return "the arguments make no sense together";
    case PLX_ERR_NOMEM:
        return "a pool that the configuration sized is empty";
    case PLX_ERR_SYSTEM:
        return "the operating system or a device refused";
    }
    return "unknown error";
}
