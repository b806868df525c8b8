// Textures: texels are integers, filtered here. Values are linear, 0 to 1.
#ifndef TEXTURE_GLSL
#define TEXTURE_GLSL

const uint WRAP_REPEAT = 0u;
const uint WRAP_CLAMP = 1u;

// A texel index on an axis of `size` texels, for wrap modes of glTF 2.0 section 5.26.
uint wrapped(int at, uint size, uint mode) {
    int length = int(size);
    if (mode == WRAP_CLAMP) return uint(min(max(at, 0), length - 1));
    int period = mode == WRAP_REPEAT ? length : length * 2;
    int rest = at - (at / period) * period;
    if (rest < 0) rest += period;
    return uint(rest < length ? rest : period - 1 - rest);
}

vec4 texel(uvec4 head, bool srgb, uint x, uint y) {
    uint word = FETCH_1(texels, head.x + y * head.y + x);
    uvec4 bytes = uvec4(word, word >> 8, word >> 16, word >> 24) & 255u;
    vec3 color = vec3(bytes.xyz) * vec3(3.92156862745098e-3);
    float alpha = float(bytes.w) * 3.92156862745098e-3;
    if (srgb) {
        color = vec3(
            uintBitsToFloat(FETCH_1(constants, SRGB_TABLE + bytes.x)),
            uintBitsToFloat(FETCH_1(constants, SRGB_TABLE + bytes.y)),
            uintBitsToFloat(FETCH_1(constants, SRGB_TABLE + bytes.z))
        );
    }
    return vec4(color, alpha);
}

// Where a texture place lies in the image (KHR_texture_transform).
vec2 transformed(uint index, vec2 uv) {
    uvec4 first = FETCH_4(textures, index * 4u + 2u);
    uvec4 last = FETCH_4(textures, index * 4u + 3u);
    if (last.z == 0u) return uv;
    vec3 across = tame3(uintBitsToFloat(first.xyz));
    vec3 down = tame3(uintBitsToFloat(uvec3(first.w, last.xy)));
    float x = tame(uv.x);
    float y = tame(uv.y);
    float u = across.x * x + across.y * y;
    float v = down.x * x + down.y * y;
    u = tame(u) + across.z;
    v = tame(v) + down.z;
    return vec2(u, v);
}

// The texture at the places of slots 0 and 1; bilinear between texel centres unless it asks for the
// nearest texel.
vec4 sampled(uint index, vec2 uv0, vec2 uv1) {
    uvec4 head = FETCH_4(textures, index * 4u);
    uvec4 tail = FETCH_4(textures, index * 4u + 1u);
    bool nearest = tail.y != 0u;
    bool srgb = tail.z != 0u;
    vec2 uv = transformed(index, tail.w == 0u ? uv0 : uv1);
    // Beyond this there is less than a texel of precision left.
    float u = min(max(tame(uv.x), -16384.0), 16384.0) * float(head.y);
    float v = min(max(tame(uv.y), -16384.0), 16384.0) * float(head.z);
    float shift = nearest ? 0.0 : 0.5;
    u = u - shift;
    v = v - shift;
    float column = floor(u);
    float row = floor(v);
    float s = tame(u - column);
    float t = tame(v - row);
    uint x0 = wrapped(int(column), head.y, head.w);
    uint y0 = wrapped(int(row), head.z, tail.x);
    vec4 color = texel(head, srgb, x0, y0);
    if (!nearest) {
        uint x1 = wrapped(int(column) + 1, head.y, head.w);
        uint y1 = wrapped(int(row) + 1, head.z, tail.x);
        vec4 right = texel(head, srgb, x1, y0);
        vec4 below = texel(head, srgb, x0, y1);
        vec4 across = texel(head, srgb, x1, y1);
        vec4 top = color + (right - color) * vec4(s);
        vec4 bottom = below + (across - below) * vec4(s);
        vec4 blend = top + (bottom - top) * vec4(t);
        color = blend;
    }
    return max(color, vec4(0.0));
}

#endif
