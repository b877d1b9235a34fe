// SPDX-License-Identifier: BSD-2-Clause
// mbuf_queue.cc - packets in a row, with a limit and a lock.
#include "lib/mbuf/mbuf_queue.h"

#include "lib/mbuf/verbs/free.h"

namespace umbuf {
namespace {

// Everything under the lock goes through here: the sampled length is right when the lock is free.
class Held {
  public:
    explicit Held(MbufQueue* mq) noexcept : mq_(mq) { mq_->lock.lock(); }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    ~Held() {
        mq_->mq_len.set(mq_->mq_list.ml_len);
        mq_->lock.unlock();
    }
    [[nodiscard]] bool full() const noexcept {
        return mq_->mq_list.ml_len >= mq_->mq_maxlen.load(sync::relaxed);
    }

  private:
    MbufQueue* mq_;
};

}  // namespace

void mq_init(MbufQueue* mq, uint32_t maxlen) noexcept {
    ml_init(&mq->mq_list);
    mq->mq_len.set(0);
    mq->mq_maxlen.store(maxlen, sync::relaxed);
    mq->mq_drops.set(0);
}

int mq_enqueue(MbufQueue* mq, Mbuf* m) noexcept {
    {
        const Held held(mq);
        if (!held.full()) {
            ml_enqueue(&mq->mq_list, m);
            return 0;
        }
        mq->mq_drops.add(1);
    }
    m_freem(m);
    return 1;
}

int mq_push(MbufQueue* mq, Mbuf* m) noexcept {
    Mbuf* dropped = nullptr;
    {
        const Held held(mq);
        ml_enqueue(&mq->mq_list, m);
        if (mq->mq_list.ml_len > mq->mq_maxlen.load(sync::relaxed)) {
            dropped = ml_dequeue(&mq->mq_list);
            mq->mq_drops.add(1);
        }
    }
    m_freem(dropped);
    return dropped != nullptr ? 1 : 0;
}

Mbuf* mq_dequeue(MbufQueue* mq) noexcept {
    const Held held(mq);
    return ml_dequeue(&mq->mq_list);
}

uint32_t mq_enlist(MbufQueue* mq, MbufList* ml) noexcept {
    {
        const Held held(mq);
        while (!ml_empty(ml) && !held.full()) ml_enqueue(&mq->mq_list, ml_dequeue(ml));
        mq->mq_drops.add(ml_len(ml));
    }
    return ml_purge(ml);
}

void mq_delist(MbufQueue* mq, MbufList* ml) noexcept {
    const Held held(mq);
    ml_enlist(ml, &mq->mq_list);
}

Mbuf* mq_dechain(MbufQueue* mq) noexcept {
    const Held held(mq);
    return ml_dechain(&mq->mq_list);
}

uint32_t mq_purge(MbufQueue* mq) noexcept {
    MbufList all;
    mq_delist(mq, &all);
    return ml_purge(&all);
}

uint32_t mq_hdatalen(MbufQueue* mq) noexcept {
    const Held held(mq);
    return ml_hdatalen(&mq->mq_list);
}

void mq_set_maxlen(MbufQueue* mq, uint32_t maxlen) noexcept {
    const Held held(mq);
    mq->mq_maxlen.store(maxlen, sync::relaxed);
}

}  // namespace umbuf
