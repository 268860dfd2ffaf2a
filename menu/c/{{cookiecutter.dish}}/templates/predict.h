/* $model, version $version. Written by `make -C dishes/c`. */
#ifndef PREDICT_H
#define PREDICT_H

#include <math.h> /* NAN */

#ifdef __cplusplus
extern "C" {
#endif

#ifdef PREDICT_FLOAT32
typedef float predict_number;
#else
typedef double predict_number;
#endif

/* Moments are seconds since 1970 in UTC, texts are UTF-8. NAN or NULL is a missing value. */
typedef struct {
$members
} predict_features;

extern const char predict_version[];
${names}$signature;

#ifdef __cplusplus
}
#endif

#endif
