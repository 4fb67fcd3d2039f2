/*
 * bench_onednn.c - softmax of packed rows by oneDNN 2
 */
#include "bench.h"
#include "peers.h"

#include <dnnl.h>
#include <dnnl_debug.h>
#include <stdlib.h>
#include <string.h>

struct onednn_softmax {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t primitive;
    dnnl_memory_t from, to;
};

static void check_dnnl(dnnl_status_t status)
{
    if (status != dnnl_success)
        die("oneDNN", dnnl_status2str(status));
}

static void make_primitive(onednn_softmax *s, const dnnl_memory_desc_t *rows)
{
    dnnl_softmax_desc_t desc;
    dnnl_primitive_desc_t made;

    check_dnnl(
        dnnl_softmax_forward_desc_init(&desc, dnnl_forward_inference, rows, 1));
    check_dnnl(dnnl_primitive_desc_create(&made, &desc, NULL, s->engine, NULL));
    check_dnnl(dnnl_primitive_create(&s->primitive, made));
    check_dnnl(dnnl_primitive_desc_destroy(made));
}

onednn_softmax *onednn_softmax_open(const float *logits, uint32_t n_rows,
                                    uint32_t n_cols, float *output)
{
    const dnnl_dims_t counts = {n_rows, n_cols};
    onednn_softmax *s = calloc(1, sizeof *s);
    dnnl_memory_desc_t rows;
    void *from; /* the interface knows no const */

    expect(s != NULL, "memory for oneDNN");
    memcpy(&from, &logits, sizeof from);
    check_dnnl(
        dnnl_memory_desc_init_by_tag(&rows, 2, counts, dnnl_f32, dnnl_ab));
    check_dnnl(dnnl_engine_create(&s->engine, dnnl_cpu, 0));
    check_dnnl(
        dnnl_stream_create(&s->stream, s->engine, dnnl_stream_default_flags));
    make_primitive(s, &rows);
    check_dnnl(dnnl_memory_create(&s->from, &rows, s->engine, from));
    check_dnnl(dnnl_memory_create(&s->to, &rows, s->engine, output));
    return s;
}

void onednn_softmax_run(void *job)
{
    const onednn_softmax *s = job;
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, s->from},
                                         {DNNL_ARG_DST, s->to}};

    check_dnnl(dnnl_primitive_execute(s->primitive, s->stream, 2, arguments));
    check_dnnl(dnnl_stream_wait(s->stream));
}

void onednn_softmax_close(onednn_softmax *s)
{
    dnnl_memory_destroy(s->from);
    dnnl_memory_destroy(s->to);
    dnnl_primitive_destroy(s->primitive);
    dnnl_stream_destroy(s->stream);
    dnnl_engine_destroy(s->engine);
    free(s);
}
