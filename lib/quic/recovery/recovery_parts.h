// recovery_parts.h -- what recovery.c and recovery_timer.c share; nobody else includes it.

#ifndef PLX_QUIC_RECOVERY_PARTS_H
#define PLX_QUIC_RECOVERY_PARTS_H

#include "quic/recovery/recovery.h"

// Declares what is lost in a space and tells the controller.
void plx_recovery_detect(struct plx_recovery *r, struct plx_space *sp, enum plx_space_id id, plx_time now,
                         struct plx_loss *loss);

#endif
