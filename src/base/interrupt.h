/* interrupt.h - SIGINT and SIGTERM as a flag that loops look at between steps. A second signal
 * kills the process by its default action, so that a loop that does not look can still be stopped.
 */
#ifndef FNL_BASE_INTERRUPT_H
#define FNL_BASE_INTERRUPT_H

#include <stdbool.h>

/* Installs the handlers. A signal that was ignored at start (nohup, background job) stays ignored.
 */
void fnl_interrupt_install(void);
bool fnl_interrupted(void);
int fnl_interrupt_signal(void); /* which signal, 0 = none yet */
void fnl_interrupt_reset(void); /* forgets the signal and installs the handlers again */

#endif
