/* conv_winograd.c - which convolutions run by Winograd's algorithm (isa/winograd.c).
 *
 * Both ways are counted in the multiply-adds that the products could have made in the same time:
 *
 *     direct     9 C K OH OW
 *     Winograd   points C K  +  11 points (C + K)  +  5 * 36 C K
 *
 * for one image: the products, the maps of image and result, and those of the weights, with points
 * = (OH + 2 ceil(OH / 4)) (OW + 2 ceil(OW / 4)) and K rounded up to whole panels. The factors 11
 * and 5 were fitted to times of the AVX2 kernels on Zen 3. Weights are mapped once a run, whatever
 * its images; to count them for each image errs on the side of the direct way, and leaves the
 * choice a function of the layer alone: the same image gives the same bits in every batch. */
#include <stdlib.h>
#include <string.h>

#include "engine/backend/cpu/cpu_int.h"

enum { MAP_COST = 11, WEIGHTS_COST = 5, POINTS = 36 };

static bool supported(const struct fnl_conv_shape *s)
{
    return s->KH == 3 && s->KW == 3 && s->stride_h == 1 && s->stride_w == 1 && s->dilation_h == 1 &&
           s->dilation_w == 1 && s->group == 1 && s->OH >= 2 && s->OW >= 2;
}

static double points_along(int outputs)
{
    return outputs + 2 * ((outputs + 3) / 4);
}

static bool pays(const struct fnl_conv_shape *s)
{
    const int panel = fnl_cpu_kernels()->panel;
    const double C = s->C, K = (s->K + panel - 1) / panel * panel;
    const double points = points_along(s->OH) * points_along(s->OW);
    const double direct = 9 * C * K * s->OH * s->OW;
    const double maps = MAP_COST * points * (C + K) + WEIGHTS_COST * POINTS * C * K;
    return points * C * K + maps < direct;
}

bool fnl_cpu_winograd(const struct fnl_conv_shape *s)
{
    const char *wanted = getenv("FOURNIL_CONV");
    if (!supported(s) || (wanted && strcmp(wanted, "direct") == 0)) {
        return false;
    }
    return pays(s) || (wanted && strcmp(wanted, "winograd") == 0);
}
