/* $model, version $version. Written by `make -C dishes/c`. */
#include "runtime.h"

$tables
const char predict_version[] = "$version";

$signature {
    (void)features;
$lines
}
