/* curves.c - curves.svg: loss and accuracy over the epochs, as a picture any browser shows.
 *
 * Two panels side by side (one when there is no accuracy), each a frame with round tick marks, one
 * line for training and one for validation. Colours follow the viewer's light or dark setting; the
 * two lines also differ in dash, for eyes and printers that do not tell the colours apart. Points
 * that are no numbers break the line. Cost: one pass over the epochs. */
#include <math.h>
#include <stdio.h>

#include "base/files.h"
#include "base/limits.h"
#include "train/report.h"

#define PANEL_WIDTH 440.0
#define PANEL_HEIGHT 330.0
#define LEFT 62.0
#define RIGHT 18.0
#define TOP 44.0
#define BOTTOM 46.0
#define TICKS 5
#define DOTS_MAX 40 /* few points are shown as dots too */

struct axis {
    double low, high, step; /* of the ticks; low and high are multiples of step */
};

struct panel {
    double x; /* of the panel's left edge */
    const char *title;
    struct axis across, up;
    const struct fnl_epoch *epochs;
    uint32_t count;
    double (*value[2])(const struct fnl_epoch *e); /* training, validation */
};

static double loss(const struct fnl_epoch *e)
{
    return e->loss;
}
static double val_loss(const struct fnl_epoch *e)
{
    return e->val_loss;
}
static double accuracy(const struct fnl_epoch *e)
{
    return e->accuracy;
}
static double val_accuracy(const struct fnl_epoch *e)
{
    return e->val_accuracy;
}

/* 1, 2 or 5 times a power of ten, so that about TICKS steps span the range. */
static double round_step(double range)
{
    double raw = range / TICKS;
    double power = pow(10.0, floor(log10(raw)));
    double part = raw / power;
    return power * (part <= 1.0 ? 1.0 : part <= 2.0 ? 2.0 : part <= 5.0 ? 5.0 : 10.0);
}

static struct axis axis_of(double low, double high)
{
    if (!(high > low)) {
        double room = fabs(low) > 0.0 ? fabs(low) * 0.1 : 1.0;
        low -= room;
        high += room;
    }
    double step = round_step(high - low);
    return (struct axis){floor(low / step) * step, ceil(high / step) * step, step};
}

static void find_range(struct panel *p)
{
    double low = INFINITY, high = -INFINITY;
    for (uint32_t i = 0; i < p->count; i++) {
        for (int k = 0; k < 2; k++) {
            double v = p->value[k](&p->epochs[i]);
            if (isfinite(v)) {
                low = fmin(low, v);
                high = fmax(high, v);
            }
        }
    }
    p->up = isfinite(low) ? axis_of(low, high) : axis_of(0.0, 1.0);
    struct axis across = axis_of(1.0, p->count > 1 ? (double)p->count : 2.0);
    across.step = fmax(1.0, round(across.step));
    across.low = 1.0;
    across.high = p->count > 1 ? (double)p->count : 2.0;
    p->across = across;
}

static double place_x(const struct panel *p, double epoch)
{
    double part = (epoch - p->across.low) / (p->across.high - p->across.low);
    return p->x + LEFT + part * (PANEL_WIDTH - LEFT - RIGHT);
}

static double place_y(const struct panel *p, double v)
{
    double part = (v - p->up.low) / (p->up.high - p->up.low);
    return PANEL_HEIGHT - BOTTOM - part * (PANEL_HEIGHT - TOP - BOTTOM);
}

static void print_up(struct fnl_buf *out, const struct panel *p)
{
    int ticks = (int)lround((p->up.high - p->up.low) / p->up.step);
    double right = p->x + PANEL_WIDTH - RIGHT;
    for (int i = 0; i <= ticks; i++) {
        double v = p->up.low + i * p->up.step;
        v = fabs(v) < p->up.step * 1e-6 ? 0.0 : v;
        double y = place_y(p, v);
        (void)fnl_buf_printf(out,
                             "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>"
                             "<text class=\"tick end\" x=\"%.1f\" y=\"%.1f\">%.6g</text>\n",
                             p->x + LEFT, y, right, p->x + LEFT - 8.0, y + 4.0, v);
    }
}

static void print_across(struct fnl_buf *out, const struct panel *p)
{
    double bottom = PANEL_HEIGHT - BOTTOM;
    double first = p->across.step > 1.0 ? p->across.step : 1.0;
    for (double v = first; v <= p->across.high && v <= (double)p->count; v += p->across.step) {
        double x = place_x(p, v);
        (void)fnl_buf_printf(out,
                             "<path class=\"axis\" d=\"M%.1f %.1fv4\"/>"
                             "<text class=\"tick mid\" x=\"%.1f\" y=\"%.1f\">%.0f</text>\n",
                             x, bottom, x, bottom + 18.0, v);
    }
    (void)fnl_buf_printf(out,
                         "<path class=\"axis\" d=\"M%.1f %.1fV%.1fH%.1f\"/>"
                         "<text class=\"tick mid\" x=\"%.1f\" y=\"%.1f\">epoch</text>\n",
                         p->x + LEFT, TOP, bottom, p->x + PANEL_WIDTH - RIGHT,
                         p->x + (LEFT + PANEL_WIDTH - RIGHT) / 2.0, bottom + 36.0);
}

static void print_line(struct fnl_buf *out, const struct panel *p, int which)
{
    const char *names[2] = {"train", "val"};
    bool pen_down = false;
    (void)fnl_buf_printf(out, "<path class=\"line %s\" d=\"", names[which]);
    for (uint32_t i = 0; i < p->count; i++) {
        double v = p->value[which](&p->epochs[i]);
        if (isfinite(v)) {
            (void)fnl_buf_printf(out, "%s%.1f %.1f", pen_down ? "L" : "M",
                                 place_x(p, (double)(i + 1)), place_y(p, v));
        }
        pen_down = isfinite(v);
    }
    (void)fnl_buf_puts(out, "\"/>\n");
    for (uint32_t i = 0; i < p->count && p->count <= DOTS_MAX; i++) {
        double v = p->value[which](&p->epochs[i]);
        if (isfinite(v)) {
            (void)fnl_buf_printf(out, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.6\"/>",
                                 names[which], place_x(p, (double)(i + 1)), place_y(p, v));
        }
    }
}

static bool has_any(const struct panel *p, int which)
{
    for (uint32_t i = 0; i < p->count; i++) {
        if (isfinite(p->value[which](&p->epochs[i]))) {
            return true;
        }
    }
    return false;
}

static void print_legend(struct fnl_buf *out, const struct panel *p)
{
    const char *classes[2] = {"train", "val"}, *texts[2] = {"training", "validation"};
    double x = p->x + PANEL_WIDTH - RIGHT - 196.0;
    for (int k = 0; k < 2; k++) {
        if (has_any(p, k)) {
            (void)fnl_buf_printf(out,
                                 "<path class=\"line %s\" d=\"M%.1f 26h22\"/>"
                                 "<text class=\"tick\" x=\"%.1f\" y=\"30\">%s</text>\n",
                                 classes[k], x, x + 28.0, texts[k]);
            x += 96.0;
        }
    }
}

static void print_panel(struct fnl_buf *out, struct panel *p)
{
    find_range(p);
    (void)fnl_buf_printf(out, "<text class=\"title\" x=\"%.1f\" y=\"31\">%s</text>\n", p->x + LEFT,
                         p->title);
    print_up(out, p);
    print_across(out, p);
    print_line(out, p, 0);
    print_line(out, p, 1);
    print_legend(out, p);
}

static const char style[] =
    "<style>\n"
    "svg{font-family:system-ui,sans-serif;fill:#1f2328}.back{fill:#fff}\n"
    ".title{font-size:15px;font-weight:600}.tick{font-size:12px}\n"
    ".end{text-anchor:end}.mid{text-anchor:middle}\n"
    ".grid{stroke:#d8dee4;fill:none}.axis{stroke:#59636e;fill:none}\n"
    ".line{fill:none;stroke-width:2;stroke-linejoin:round}\n"
    "path.train{stroke:#0969da}path.val{stroke:#bc4c00;stroke-dasharray:6 3}\n"
    "circle.train{fill:#0969da}circle.val{fill:#bc4c00}\n"
    "@media(prefers-color-scheme:dark){svg{fill:#e6edf3}.back{fill:#0d1117}\n"
    ".grid{stroke:#30363d}.axis{stroke:#9198a1}\n"
    "path.train{stroke:#58a6ff}path.val{stroke:#f0883e}\n"
    "circle.train{fill:#58a6ff}circle.val{fill:#f0883e}}\n"
    "</style>\n"
    /* Drawn, because the background of a style is known to browsers only. */
    "<rect class=\"back\" width=\"100%\" height=\"100%\"/>\n";

int fnl__curves_print(struct fnl_buf *out, const struct fnl_epoch *epochs, uint32_t count)
{
    struct panel panels[2] = {
        {.title = "loss", .epochs = epochs, .count = count, .value = {loss, val_loss}},
        {.x = PANEL_WIDTH,
         .title = "accuracy",
         .epochs = epochs,
         .count = count,
         .value = {accuracy, val_accuracy}}};
    int shown = has_any(&panels[1], 0) || has_any(&panels[1], 1) ? 2 : 1;
    (void)fnl_buf_printf(out,
                         "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" "
                         "width=\"%.0f\" height=\"%.0f\" role=\"img\" "
                         "aria-label=\"loss and accuracy by epoch\">\n",
                         shown * PANEL_WIDTH, PANEL_HEIGHT, shown * PANEL_WIDTH, PANEL_HEIGHT);
    (void)fnl_buf_puts(out, style);
    for (int i = 0; i < shown; i++) {
        print_panel(out, &panels[i]);
    }
    return fnl_buf_puts(out, "</svg>\n");
}

int fnl__curves_write(const char *path, const struct fnl_epoch *epochs, uint32_t count,
                      struct fnl_error *err)
{
    struct fnl_buf out;
    fnl_buf_init(&out, FNL_MAX_RUN_TEXT_BYTES);
    int rc = fnl__curves_print(&out, epochs, count);
    rc = rc != 0 ? FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", path)
                 : fnl_file_write(path, out.data, out.size, err);
    fnl_buf_free(&out);
    return rc;
}
