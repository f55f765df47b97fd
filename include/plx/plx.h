// plx/plx.h -- everything an application needs.

#ifndef PLX_PLX_H
#define PLX_PLX_H

#include <plx/conn.h>
#include <plx/engine.h>
#include <plx/h3.h>
#include <plx/port.h>
#include <plx/queue.h>
#include <plx/types.h>

#endif
