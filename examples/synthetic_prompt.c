/*
 * synthetic_prompt.c - a vision-language prompt made up from a seed
 *
 * Each KV head has random directions, each for a reason to attend: the sink,
 * being a hub for text or image queries, position, topic, and each needle.  A
 * key holds some of them, a query asks for some, and both carry noise; a pair
 * of coordinates x (query) and y (key) along a direction adds x * y to the
 * logit.  So there is:
 *
 *   sinks       the first tokens answer every query and carry little value
 *   hubs        log-normal popularity with text and with image queries, and a
 *               few heavy hitters with both
 *   locality    waves of position; text queries look nearer than image queries
 *   topics      each span has one; text refers to the image before it as well
 *   modalities  text queries are peaked, image queries flat, and both ask less
 *               of the other modality
 *   needles     later queries ask for them; some text of the context does too
 *
 * No token is marked as one to keep: the needles not mentioned by a voting row
 * look like any other token.
 */
#include "synthetic.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    HEAD_DIM = 32,
    N_LATER = 32,
    N_NEEDLES = 12,
    N_WAVES = 3,
    NONE = -1,
    /* Directions of a head; topics and needles come after. */
    SINK = 0,
    HUBS = 1, /* [modality of the query][modality of the key] */
    WAVES = 5,
    TOPICS = WAVES + 2 * N_WAVES
};

/* Share of tokens that stand out for every query. */
static const double HEAVY_HITTERS = 0.03;

typedef struct token {
    uint32_t modality;
    uint32_t topic;    /* its span */
    uint32_t about;    /* the span before, which text refers to */
    double popular[2]; /* with queries of text, of images */
    int needle;        /* which one it is */
    int asks;          /* for which needle */
    double how;        /* strongly */
} token;

typedef struct world {
    prompt *p;
    uint64_t random;
    uint32_t n_topics;
    token *tokens;
    float *directions; /* [n_directions][HEAD_DIM] of the head being made */
    float *meanings;   /* the same for values */
} world;

void fail(const char *what, const char *why)
{
    fprintf(stderr, "synthetic: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

void *take(size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);

    if (memory == NULL)
        fail("memory", "not enough");
    return memory;
}

/* SplitMix64. */
double uniform(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static double normal(uint64_t *state)
{
    double radius = sqrt(-2.0 * log(1.0 - uniform(state)));

    return radius * cos(6.283185307179586 * uniform(state));
}

static uint32_t below(uint64_t *state, uint32_t n)
{
    return (uint32_t)(uniform(state) * (double)n);
}

static void add(float *x, double amount, const float *direction)
{
    for (int d = 0; d < HEAD_DIM; ++d)
        x[d] += (float)(amount * (double)direction[d]);
}

static const float *direction(const world *w, uint32_t i)
{
    return w->directions + (size_t)i * HEAD_DIM;
}

static uint32_t needle_direction(const world *w, int needle)
{
    return TOPICS + w->n_topics + (uint32_t)needle;
}

/* Three tokens in four are image.  Text comes before, between and after the
   images, every other text being half as long, which makes the first one the
   longest. */
static void lay_out_spans(world *w, uint32_t n_images)
{
    prompt *p = w->p;
    uint32_t image = n_images > 0 ? p->n_context * 3 / 4 / n_images : 0;
    uint32_t text = (p->n_context - image * n_images) / (n_images + 1);
    uint32_t end = p->n_context;

    p->spans = take(n_images, sizeof *p->spans);
    p->n_spans = n_images;
    for (uint32_t i = n_images; i-- > 0;) {
        end -= (n_images - i) % 2 == 1 ? text : text / 2;
        p->spans[i] =
            (csp_span){.begin = end - image, .end = end, .modality = IMAGE};
        end -= image;
    }
    w->n_topics = 2 * n_images + 1;
}

static void describe_tokens(world *w)
{
    const prompt *p = w->p;
    uint32_t topic = 0;

    for (uint32_t t = 0; t < p->n_tokens; ++t) {
        token *k = &w->tokens[t];
        double hit = uniform(&w->random) < HEAVY_HITTERS ? 2.5 : 0.0;
        double common = hit + normal(&w->random);

        k->modality = modality_of(p, t);
        if (t > 0 && k->modality != w->tokens[t - 1].modality)
            ++topic;
        k->topic = topic;
        k->about = k->modality == TEXT && topic > 0 ? topic - 1 : topic;
        for (int m = 0; m < 2; ++m)
            k->popular[m] = 0.6 * common + 0.6 * normal(&w->random);
        k->needle = NONE;
        k->asks = NONE;
    }
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* Half of the needles in images, if there are any; none among the first tokens
   or in the window, which methods keep anyway. */
static void plant_needles(world *w)
{
    prompt *p = w->p;
    uint32_t first = 8;
    uint32_t room = p->n_context - p->n_window - first;

    uint32_t *needles = take(N_NEEDLES, sizeof *needles);

    p->needles = needles;
    while (p->n_needles < N_NEEDLES) {
        uint32_t t = first + below(&w->random, room);
        uint32_t wanted =
            p->n_spans > 0 && p->n_needles % 2 == 0 ? IMAGE : TEXT;

        if (w->tokens[t].modality == wanted && w->tokens[t].needle == NONE) {
            w->tokens[t].needle = (int)p->n_needles;
            needles[p->n_needles++] = t;
        }
    }
    for (uint32_t t = first; t < p->n_context; ++t) {
        int needle = (int)below(&w->random, N_NEEDLES);

        if (w->tokens[t].modality == TEXT && needles[needle] < t &&
            uniform(&w->random) < 0.15) {
            w->tokens[t].asks = needle;
            w->tokens[t].how = 0.6;
        }
    }
    for (uint32_t t = p->n_context; t < p->n_tokens; ++t) {
        w->tokens[t].asks = (int)below(&w->random, N_NEEDLES);
        w->tokens[t].how = 1.0;
    }
    qsort(needles, N_NEEDLES, sizeof *needles, by_value);
}

/* Unit directions; coordinates are scaled so that products are logits. */
static void make_directions(world *w)
{
    uint32_t n = needle_direction(w, N_NEEDLES);

    for (uint32_t i = 0; i < n; ++i) {
        float *x = w->directions + (size_t)i * HEAD_DIM;
        double square = 0.0;

        for (int d = 0; d < HEAD_DIM; ++d) {
            x[d] = (float)normal(&w->random);
            square += (double)x[d] * (double)x[d];
        }
        for (int d = 0; d < HEAD_DIM; ++d)
            x[d] *= (float)(pow(HEAD_DIM, 0.25) / sqrt(square));
    }
    for (size_t i = 0; i < (size_t)n * HEAD_DIM; ++i)
        w->meanings[i] = (float)normal(&w->random);
}

static void add_waves(const world *w, double amount, uint32_t t, float *x)
{
    static const double period[N_WAVES] = {24.0, 90.0, 400.0};

    for (uint32_t i = 0; i < N_WAVES; ++i) {
        double angle = 6.283185307179586 * (double)t / period[i];

        add(x, amount * cos(angle), direction(w, WAVES + 2 * i));
        add(x, amount * sin(angle), direction(w, WAVES + 2 * i + 1));
    }
}

static void add_noise(world *w, double amount, float *x)
{
    for (int d = 0; d < HEAD_DIM; ++d)
        x[d] += (float)(amount * normal(&w->random));
}

static void make_key(world *w, uint32_t t, float *x)
{
    const token *k = &w->tokens[t];
    double hub = exp(0.3 * normal(&w->random));

    add_noise(w, 0.9, x);
    add(x, t == 0 ? 3.0 : t < 4 ? 1.5 : 0.0, direction(w, SINK));
    for (uint32_t m = 0; m < 2; ++m)
        add(x, hub * k->popular[m], direction(w, HUBS + 2 * m + k->modality));
    add_waves(w, 1.0, t, x);
    add(x, 1.0, direction(w, TOPICS + k->topic));
    if (k->needle != NONE)
        add(x, 3.0, direction(w, needle_direction(w, k->needle)));
}

/* Values of a span are alike in part; the first tokens' are small. */
static void make_value(world *w, uint32_t t, float *x)
{
    const token *k = &w->tokens[t];
    double size = (t < 4 ? 0.1 : 1.0) * exp(0.3 * normal(&w->random));

    add_noise(w, 0.8 * size, x);
    add(x, 0.3 * size, w->meanings + (size_t)k->modality * HEAD_DIM);
    add(x, 0.4 * size, w->meanings + (size_t)(TOPICS + k->topic) * HEAD_DIM);
    if (k->needle != NONE)
        add(x, size,
            w->meanings + (size_t)needle_direction(w, k->needle) * HEAD_DIM);
}

/* What a query head looks for. */
typedef struct taste {
    double sink;
    double local;
    double topic;
    double needle;
    double hub[2][2];
} taste;

static taste make_taste(uint64_t *random)
{
    double hubs = 0.5 + uniform(random);

    return (taste){
        .sink = 1.0 + uniform(random),
        .local = 0.3 + uniform(random),
        .topic = 0.3 + 0.9 * uniform(random),
        .needle = uniform(random) < 0.5 ? 2.5 : 0.5,
        .hub = {{1.0 * hubs, 0.5 * hubs}, {0.3 * hubs, 0.7 * hubs}},
    };
}

static void make_query(world *w, const taste *q, uint32_t t, float *x)
{
    const token *k = &w->tokens[t];
    const bool text = k->modality == TEXT;

    add_noise(w, text ? 0.9 : 0.6, x);
    add(x, q->sink, direction(w, SINK));
    for (uint32_t m = 0; m < 2; ++m)
        add(x, q->hub[k->modality][m],
            direction(w, HUBS + 2 * k->modality + m));
    add_waves(w, text ? q->local : 0.5 * q->local, t, x);
    add(x, text ? 0.5 * q->topic : q->topic, direction(w, TOPICS + k->topic));
    if (text)
        add(x, q->topic, direction(w, TOPICS + k->about));
    if (k->asks != NONE)
        add(x, k->how * q->needle, direction(w, needle_direction(w, k->asks)));
}

static void make_heads(world *w)
{
    const prompt *p = w->p;
    const uint32_t group = p->n_heads / p->n_kv_heads;

    for (uint32_t g = 0; g < p->n_layers * p->n_kv_heads; ++g) {
        size_t at = (size_t)g * p->n_tokens * HEAD_DIM;

        make_directions(w);
        for (uint32_t t = 0; t < p->n_tokens; ++t, at += HEAD_DIM) {
            make_key(w, t, p->keys + at);
            make_value(w, t, p->values + at);
        }
        for (uint32_t h = g * group; h < (g + 1) * group; ++h) {
            taste q = make_taste(&w->random);
            float *x = p->queries + (size_t)h * p->n_tokens * HEAD_DIM;

            for (uint32_t t = 0; t < p->n_tokens; ++t, x += HEAD_DIM)
                make_query(w, &q, t, x);
        }
    }
}

void prompt_make(const sizes *wanted, prompt *p)
{
    const uint32_t tenth = (wanted->n_context + 9) / 10;

    *p = (prompt){
        .n_layers = wanted->n_layers,
        .n_heads = wanted->n_heads,
        .n_kv_heads = wanted->n_kv_heads,
        .head_dim = HEAD_DIM,
        .n_tokens = wanted->n_context + N_LATER,
        .n_context = wanted->n_context,
        .n_window = tenth > 32 ? tenth : 32,
        .scale = (float)(1.0 / sqrt(HEAD_DIM)),
    };
    size_t heads = (size_t)p->n_layers * p->n_heads;
    size_t kv_heads = (size_t)p->n_layers * p->n_kv_heads;
    world w = {.p = p, .random = wanted->seed};

    p->queries = take(heads * p->n_tokens, HEAD_DIM * sizeof(float));
    p->keys = take(kv_heads * p->n_tokens, HEAD_DIM * sizeof(float));
    p->values = take(kv_heads * p->n_tokens, HEAD_DIM * sizeof(float));
    p->window = take(heads * p->n_window, p->n_context * sizeof(float));
    w.tokens = take(p->n_tokens, sizeof *w.tokens);
    lay_out_spans(&w, wanted->n_images);
    describe_tokens(&w);
    plant_needles(&w);
    size_t n_directions = needle_direction(&w, N_NEEDLES);
    w.directions = take(n_directions, HEAD_DIM * sizeof(float));
    w.meanings = take(n_directions, HEAD_DIM * sizeof(float));
    make_heads(&w);
    prompt_window(p);
    free(w.meanings);
    free(w.directions);
    free(w.tokens);
}

void prompt_free(prompt *p)
{
    free(p->window);
    free(p->values);
    free(p->keys);
    free(p->queries);
    free(p->needles);
    free(p->spans);
    *p = (prompt){0};
}
