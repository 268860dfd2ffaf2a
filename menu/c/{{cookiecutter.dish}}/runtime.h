/* What the code of every version uses: no allocation, of a library only exp, floor and strcmp.

   Results are those of IEEE 754 in the order that is written: no -ffast-math, and for processors
   that can -ffp-contract=off, or a compiler fuses a multiplication with an addition. */
#include "predict.h"

#include <stdint.h>
#include <string.h>

#ifdef __FAST_MATH__
#error "with -ffast-math no value can be missing"
#endif

typedef predict_number number;
#define N(literal) ((number)literal)
#ifdef PREDICT_FLOAT32
#define EDGE(exact, below) below##f
#define exp expf
#define floor floorf
#else
#define EDGE(exact, below) exact
#endif

/* A decision: the column, with MARK if a missing value goes left; the number of the edge up to
   which values go left; what is left and right. From the number `inner` on these are leaves. */
typedef struct {
    uint16_t column, edge, left, right;
} node;
#define MARK 0x8000u

typedef struct {
    const number *edges, *leaves; /* edges ascend */
    const node *nodes;
    const uint16_t *roots;
    uint16_t edge_count, inner, trees;
} forest;

/* How many edges are below x: then the decisions compare small integers only. */
static inline uint16_t rank(const forest *f, number x) {
    uint16_t low = 0, high = f->edge_count;
    if (isnan(x)) return UINT16_MAX;
    while (low < high) {
        const uint16_t middle = (uint16_t)(low + (high - low) / 2);
        if (x <= f->edges[middle]) high = middle;
        else low = (uint16_t)(middle + 1);
    }
    return low;
}

static inline number add_trees(number sum, const forest *f, const uint16_t *ranks) {
    for (uint16_t i = 0; i < f->trees; i++) {
        uint16_t at = f->roots[i];
        while (at < f->inner) {
            const node n = f->nodes[at];
            const uint16_t found = ranks[n.column & ~MARK];
            const int left = found == UINT16_MAX ? (n.column & MARK) != 0 : found <= n.edge;
            at = left ? n.left : n.right;
        }
        sum += f->leaves[at - f->inner];
    }
    return sum;
}

static inline int largest(const number *numbers, int count) {
    int best = 0;
    for (int i = 1; i < count; i++)
        if (numbers[i] > numbers[best]) best = i;
    return best;
}

/* The place of a text among those that are known, or after them. */
static inline int find(const char *text, const char *const *known, int count) {
    int place = 0;
    while (place < count && strcmp(text ? text : "", known[place])) place++;
    return place;
}
