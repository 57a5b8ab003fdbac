/* interrupt.c - SIGINT and SIGTERM as a flag. The handler touches only a lock-free atomic and
 * functions that POSIX lists as async-signal-safe. */
#include "base/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

static atomic_int caught;

static void on_signal(int number)
{
    int saved = errno;
    int none = 0;
    if (!atomic_compare_exchange_strong(&caught, &none, number)) {
        /* The second one. It is blocked until this handler returns, then the default action. */
        (void)signal(number, SIG_DFL);
        (void)raise(number);
    }
    errno = saved;
}

void fnl_interrupt_install(void)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction old;
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN) {
            continue;
        }
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
        (void)sigemptyset(&action.sa_mask);
        (void)sigaction(numbers[i], &action, NULL);
    }
}

bool fnl_interrupted(void)
{
    return atomic_load_explicit(&caught, memory_order_relaxed) != 0;
}

int fnl_interrupt_signal(void)
{
    return atomic_load(&caught);
}

void fnl_interrupt_reset(void)
{
    atomic_store(&caught, 0);
    fnl_interrupt_install();
}
