-- What arrives beside taps and statuses: texts to forward, changed numbers, the provider's notices.

-- What the provider sends beside texts. Media are not fetched: their captions and names are passed
-- on, and the agent asks the sender.
create function app.inbound_text(p_message jsonb)
returns text language sql immutable
as $$
  select nullif(btrim(case p_message ->> 'type'
    when 'text' then p_message #>> '{text,body}'
    when 'button' then
      coalesce(p_message #>> '{button,text}', p_message #>> '{button,payload}')
    when 'interactive' then concat_ws(': ',
      coalesce(
        p_message #>> '{interactive,button_reply,title}',
        p_message #>> '{interactive,list_reply,title}',
        p_message #>> '{interactive,nfm_reply,response_json}',
        p_message #>> '{interactive,nfm_reply,body}',
        p_message #>> '{interactive,button_reply,id}',
        p_message #>> '{interactive,list_reply,id}',
        '[' || left(coalesce(p_message #>> '{interactive,type}', 'interactive'), 40) || ']'),
      p_message #>> '{interactive,list_reply,description}')
    when 'image' then concat_ws(' ', '[gambar]', p_message #>> '{image,caption}')
    when 'video' then concat_ws(' ', '[video]', p_message #>> '{video,caption}')
    when 'document' then concat_ws(' ',
      '[dokumen]', p_message #>> '{document,filename}', p_message #>> '{document,caption}')
    when 'audio' then '[pesan suara]'
    when 'sticker' then '[stiker]'
    when 'location' then concat_ws(' ',
      '[lokasi]', p_message #>> '{location,name}', p_message #>> '{location,address}',
      '(' || (p_message #>> '{location,latitude}') || ', '
        || (p_message #>> '{location,longitude}') || ')')
    when 'contacts' then concat_ws(' ', '[kontak]', (
      select string_agg(
        concat_ws(' ', c.value #>> '{name,formatted_name}', c.value #>> '{phones,0,phone}'), '; ')
      from jsonb_path_query(p_message, '$.contacts[*]') as c (value)))
    when 'order' then concat_ws(' ', '[pesanan katalog]', p_message #>> '{order,text}', (
      select string_agg(
        (i.value ->> 'quantity') || ' x ' || (i.value ->> 'product_retailer_id'), '; ')
      from jsonb_path_query(p_message, '$.order.product_items[*]') as i (value)))
    when 'edit' then concat_ws(' ', '[diubah]', coalesce(
      p_message #>> '{edit,message,text,body}', p_message #>> '{edit,text,body}',
      p_message #>> '{edit,body}'))
    else '[' || left(coalesce(p_message ->> 'type', '?'), 40) || ']'
  end), '')
$$;
comment on function app.inbound_text(jsonb) is
  'What a message of the provider says, as text: of media the caption and the name; null if empty';

create function app.inbound_sender(p_message jsonb)
returns text language sql immutable
as $$
  select left(coalesce(
    app.sender_number(p_message ->> 'from'), nullif(p_message ->> 'from_user_id', ''),
    nullif(p_message ->> 'from', '')), 64)
$$;
comment on function app.inbound_sender(jsonb) is
  'Who sent a message: an E.164 number, or the provider''s user id of a sender without a number';

create function app.owners_of_number(p_number text)
returns table (name text, region_id uuid, agent_id uuid, is_active boolean)
language sql stable rows 1
as $$
  select k.name, k.region_id, k.agent_id, k.is_active
  from (
    select s.business_name as name, s.region_id, null::uuid as agent_id, true as is_active, 1 as n
    from app.sub_distributors as s where s.whatsapp_number = p_number
    union all
    select p.business_name, p.region_id, null, true, 2
    from app.partners as p where p.phone = p_number and p.deleted_at is null
    union all
    select a.full_name, null, a.id, a.is_active, 3 from app.agents as a where a.phone = p_number
  ) as k
  order by k.n
$$;
comment on function app.owners_of_number(text) is
  'Whom the hub knows by this number: sub-distributors first, then the partner, then the agent. '
  'is_active is false for an agent who has left';

-- A text that was passed on within the hour says nothing new, as the automatic reply of a phone;
-- and no stranger makes more than a few messages an hour for everyone at headquarters.
create function app.count_inbound_text(p_sender text, p_text text, p_limit int)
returns text language plpgsql volatile
as $$
declare
  v_hash bytea := app.text_hash(p_text);
  v_began_at timestamptz;
  v_hashes bytea[];
begin
  select c.hour_began_at, c.hour_hashes into v_began_at, v_hashes
  from app.conversations as c where c.number = p_sender for no key update;
  if not found then
    return 'forwarded';
  elsif v_began_at is null or v_began_at <= now() - interval '1 hour' then
    v_began_at := now();
    v_hashes := '{}';
  elsif v_hash = any (v_hashes) then
    return 'repeated';
  elsif cardinality(v_hashes) >= p_limit then
    return 'too many';
  end if;
  update app.conversations as c set hour_began_at = v_began_at, hour_hashes = v_hashes || v_hash
  where c.number = p_sender;
  return 'forwarded';
end $$;
comment on function app.count_inbound_text(text, text, int) is
  'Whether a text is passed on (forwarded), or was within the hour (repeated), or its sender has '
  'reached the limit of texts an hour (too many)';

create function app.forward_text(p_message jsonb)
returns text language plpgsql volatile
as $$
declare
  v_sender_key text := app.inbound_sender(p_message);
  v_text text := app.inbound_text(p_message);
  v_name text;
  v_region_id uuid;
  v_agent_id uuid;
  v_agent_ids uuid[];
  v_variables jsonb;
  v_outcome text;
begin
  if v_text is null then
    return 'empty';
  end if;
  select k.name, k.region_id, k.agent_id into v_name, v_region_id, v_agent_id
  from app.owners_of_number(v_sender_key) as k where k.is_active limit 1;
  v_outcome := app.count_inbound_text(
    v_sender_key, v_text,
    case when found then 60 else app.config_int('inbox.stranger_texts_per_hour') end);
  if v_outcome <> 'forwarded' then
    return v_outcome;
  end if;
  v_agent_ids := app.agents_serving(v_region_id);
  if v_agent_ids = '{}' then
    v_agent_ids := app.headquarters();
  end if;
  -- Staff who write to the hub are not answered with their own text.
  if v_agent_ids = array[v_agent_id] then
    return 'no one else to forward to';
  end if;
  v_agent_ids := array_remove(v_agent_ids, v_agent_id);
  v_variables := jsonb_build_object(
    'sender', concat_ws(' ',
      coalesce(v_name, left(p_message #>> '{contact,profile,name}', 60)),
      '(' || coalesce(left(v_sender_key, 40), '-') || ')'),
    'text', left(v_text, 900));
  if v_agent_ids = '{}' then
    -- held until an admin exists
    perform app.notify_headquarters('inbound_text', null, v_variables);
  else
    perform app.enqueue_messages('inbound_text', 'AGENT', v_agent_ids, null, v_variables);
  end if;
  return 'forwarded';
end $$;
comment on function app.forward_text(jsonb) is
  'Forwards what a message says to the agents of the sender''s region, or else to headquarters, '
  'never to its sender; repeats and floods are not forwarded. Returns the outcome';

-- The stored number is not changed: the provider says who has the number, not who may answer.
create function app.report_changed_number(p_message jsonb)
returns text language plpgsql volatile
as $$
declare
  v_old text := app.sender_number(p_message ->> 'from');
  v_new text := app.sender_number(coalesce(
    p_message #>> '{system,wa_id}', p_message #>> '{system,new_wa_id}'));
  v_name text;
begin
  select k.name into v_name from app.owners_of_number(v_old) as k limit 1;
  if not found then
    return 'stranger changed number';
  end if;
  perform app.notify_headquarters('number_changed', null, jsonb_build_object(
    'name', v_name, 'old_number', v_old, 'new_number', v_new));
  return 'number changed';
end $$;
comment on function app.report_changed_number(jsonb) is
  'Notifies headquarters that someone known to the hub has another WhatsApp number now';

-- Faults of templates, of the account or of the sending number, which WhatsApp itself cannot
-- deliver: headquarters is notified by e-mail. What is no fault is recorded only.
create function app.handle_provider_notice(p_notice jsonb)
returns text language plpgsql volatile
as $$
declare
  v_value jsonb := p_notice -> 'value';
  v_field text := p_notice ->> 'field';
  v_event text := upper(coalesce(
    v_value ->> 'event', v_value ->> 'new_quality_score', v_value ->> 'new_category',
    v_value ->> 'alert_severity', ''));
begin
  if v_event in (
      'APPROVED', 'GREEN', 'UNKNOWN', 'PENDING', 'IN_APPEAL', 'UNFLAGGED', 'UPGRADE', 'ONBOARDING',
      'VERIFIED_ACCOUNT', 'INFORMATIONAL', 'PARTNER_ADDED', 'THROUGHPUT_UPGRADE'
    ) or v_field not in (
      'message_template_status_update', 'template_category_update',
      'message_template_quality_update', 'account_update', 'account_alerts',
      'account_review_update', 'phone_number_quality_update', 'phone_number_name_update', 'security'
    )
  then
    return left('noted: ' || v_field || ' ' || v_event, 200);
  end if;
  perform app.notify_headquarters('whatsapp_notice', null, jsonb_build_object('event', left(
    concat_ws(' ', v_field, v_event, v_value ->> 'message_template_name',
      nullif(v_value ->> 'reason', 'NONE'),
      v_value #>> '{disable_info,disable_date}', v_value ->> 'current_limit',
      v_value #>> '{violation_info,violation_type}', v_value ->> 'alert_description'),
    400)), 'EMAIL');
  return left('headquarters notified: ' || v_field || ' ' || v_event, 200);
end $$;
comment on function app.handle_provider_notice(jsonb) is
  'Notifies headquarters of a fault of a template, the account or the number; returns the outcome';
