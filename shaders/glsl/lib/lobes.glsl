// The material, with layers or without.
#ifndef LOBES_GLSL
#define LOBES_GLSL
#include "lib/frame.glsl"
#include "lib/ggx.glsl"
#include "lib/albedo.glsl"
#ifdef LAYERED
#include "lib/layers.glsl"
#include "lib/media.glsl"
#include "lib/sheen.glsl"
#include "lib/film.glsl"
#include "lib/bsdf.glsl"
#else
#include "lib/plain.glsl"
#endif
#endif
