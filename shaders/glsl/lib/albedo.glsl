// Tables of directional albedo (worker/src/render/albedo.rs): 16 rows by roughness of 32 columns by
// cosine.
#ifndef ALBEDO_GLSL
#define ALBEDO_GLSL

struct Cell {
    uint first;
    float s;
    float t;
};

Cell cell_of(float cosine, float roughness) {
    float x = min(max(cosine, 0.0), 1.0) * 31.0;
    float y = min(max(roughness, 0.0), 1.0) * 15.0;
    uint column = min(uint(x), 30u);
    uint row = min(uint(y), 14u);
    return Cell(row * 32u + column, tame(x - float(column)), tame(y - float(row)));
}

float table_at(uint table, Cell cell) {
    uint at = table + cell.first;
    float a = uintBitsToFloat(FETCH_1(constants, at));
    float b = uintBitsToFloat(FETCH_1(constants, at + 1u));
    float c = uintBitsToFloat(FETCH_1(constants, at + 32u));
    float d = uintBitsToFloat(FETCH_1(constants, at + 33u));
    float low = a + (b - a) * cell.s;
    float high = c + (d - c) * cell.s;
    float value = low + (high - low) * cell.t;
    return min(max(tame(value), 0.0), 1.0);
}

// What facets reflect of an even sky is f0 x + f90 y.
vec2 facet_albedo(float cosine, float roughness) {
    Cell cell = cell_of(cosine, roughness);
    return vec2(table_at(FACET_TABLE, cell), table_at(FACET_TABLE + 512u, cell));
}

// What single scattering loses is given back in the colour of f0 (Turquin 2019).
vec3 given_back(vec2 albedo, vec3 f0) {
    float lost = tame(rcp(max(albedo.x + albedo.y, 0.05))) - 1.0;
    vec3 more = vec3(1.0) + f0 * vec3(tame(max(lost, 0.0)));
    return tame3(more);
}

// The share of light that a layer of facets leaves to what is below it. What interpolation between
// rows may lose is kept back, so that energy is never created.
float left_by(vec2 albedo, float f0, float f90) {
    float taken = f0 * albedo.x + f90 * albedo.y;
    taken = taken * given_back(albedo, vec3(f0)).x;
    return min(max(1.0 - tame(taken) * 1.01, 0.0), 1.0);
}

float sheen_albedo(float cosine, float roughness) {
    return table_at(SHEEN_TABLE, cell_of(cosine, roughness));
}

#endif
