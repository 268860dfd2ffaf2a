/* Predicts for all rows of rows.bin, again and again; prints the milliseconds that each takes. */
#include "rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS 101

int main(void) {
    FILE *rows = fopen("rows.bin", "rb");
    predict_features *all = NULL;
    double cells[COLUMNS], results[RESULTS];
    int count = 0;
    if (!rows) return 1;
    for (; fread(cells, sizeof cells, 1, rows) == 1; count++) {
        all = realloc(all, (size_t)(count + 1) * sizeof *all);
        if (!all) return 1;
        fill(&all[count], cells);
    }
    for (int round = 0; round < ROUNDS; round++) {
        const clock_t start = clock();
        for (int row = 0; row < count; row++) run(&all[row], results);
        printf("%.9f\n", 1000.0 * (double)(clock() - start) / CLOCKS_PER_SEC / count);
    }
    free(all);
    return fclose(rows);
}
